// SPDX-License-Identifier: Apache-2.0
#include "thaw/s3/s3_answers.h"

#include <gtest/gtest.h>

#include "thaw/s3/xml_scanner.h"

namespace thaw {
namespace {

/// "<a>" begin, "</a>" end, anything else text.
std::vector<std::string> events_of(std::string_view text) {
  XmlScanner scanner(text);
  std::vector<std::string> events;
  while (true) {
    switch (scanner.next()) {
      case XmlScanner::Event::kBegin:
        events.push_back("<" + std::string(scanner.name()) + ">");
        break;
      case XmlScanner::Event::kEnd:
        events.push_back("</" + std::string(scanner.name()) + ">");
        break;
      case XmlScanner::Event::kText:
        events.push_back(scanner.text());
        break;
      case XmlScanner::Event::kDone:
        return events;
      case XmlScanner::Event::kError:
        EXPECT_EQ(scanner.next(), XmlScanner::Event::kError);
        return {"error"};
    }
  }
}

using Events = std::vector<std::string>;

TEST(XmlScannerTest, Events) {
  EXPECT_EQ(events_of("<?xml version=\"1.0\"?>\n<a x='1' y=\">\"><b/>t<!-- c --> u</a>\n"),
            (Events{"<a>", "<b>", "</b>", "t u", "</a>"}));
  EXPECT_EQ(events_of("\xef\xbb\xbf<s:a xmlns:s=\"u\"></s:a >"), (Events{"<a>", "</a>"}));
  EXPECT_EQ(events_of("<a>&lt;&amp;&gt;&quot;&apos;&#65;&#x42;&#xe4;&#x20ac;&#x1F600;</a>"),
            (Events{"<a>", "<&>\"'AB\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "</a>"}));
  EXPECT_EQ(events_of("<a><![CDATA[<x>&amp;]]></a>"), (Events{"<a>", "<x>&amp;", "</a>"}));
}

TEST(XmlScannerTest, RefusesWhatIsNotWellFormed) {
  for (const char* text : {"",
                           "text",
                           "<a>",
                           "<a></b>",
                           "<a></a><b></b>",
                           "</a>",
                           "<a",
                           "<a x></a>",
                           "<a x=1></a>",
                           "<a x='1></a>",
                           "<a>&none;</a>",
                           "<a>&#0;</a>",
                           "<a>&#xD800;</a>",
                           "<a>&#x110000;</a>",
                           "<a>&#;</a>",
                           "<a>&amp</a>",
                           "<a>& b;</a>",
                           "<a/>x",
                           "<!DOCTYPE a><a/>",
                           "<a><!-- </a>",
                           "<a><![CDATA[x</a>",
                           "<?xml",
                           "< a></a>",
                           "<a><b></a></b>",
                           "<a>&#99999999999;</a>"}) {
    EXPECT_EQ(events_of(text).back(), "error") << text;
  }
  std::string deep;
  for (size_t i = 0; i <= kXmlDepthMax; ++i) deep += "<a>";
  EXPECT_EQ(events_of(deep), Events{"error"});
}

TEST(S3AnswersTest, Error) {
  const auto error = parse_error_answer(as_bytes(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>AuthorizationHeaderMalformed"
      "</Code><Message>a &amp; b</Message><Region>eu-west-1</Region>"
      "<ServerTime>2026-11-23T15:30:00Z</ServerTime><Other><Code>x</Code></Other></Error>"));
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, "AuthorizationHeaderMalformed");
  EXPECT_EQ(error->message, "a & b");
  EXPECT_EQ(error->region, "eu-west-1");
  EXPECT_EQ(error->server_time, "2026-11-23T15:30:00Z");
  for (const char* text : {"", "<html><body>502</body></html>", "<Error></Error>",
                           "<Error><Code></Code></Error>", "<Error><Code>x</Code>", "nonsense"}) {
    EXPECT_FALSE(parse_error_answer(as_bytes(text))) << text;
  }
}

TEST(S3AnswersTest, Listing) {
  const auto listing = parse_list_answer(as_bytes(
      "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>b</Name>"
      "<Prefix>a%2F</Prefix><KeyCount>2</KeyCount><MaxKeys>2</MaxKeys>"
      "<EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>"
      "<NextContinuationToken>t/+=%41</NextContinuationToken>"
      "<Contents><Key>a%2Fb+c</Key><LastModified>x</LastModified><ETag>&quot;e&quot;</ETag>"
      "<Size>18446744073709551615</Size><Owner><ID>i</ID></Owner></Contents>\n"
      "<Contents><Size>0</Size><Key>a/%C3%A4</Key></Contents></ListBucketResult>"));
  ASSERT_TRUE(listing) << listing.error().message;
  EXPECT_EQ(listing->entries, (std::vector<S3ListEntry>{{"a/b c", UINT64_MAX}, {"a/\xc3\xa4", 0}}));
  EXPECT_TRUE(listing->truncated);
  EXPECT_EQ(listing->next_token, "t/+=%41");  // opaque: not decoded

  const auto plain = parse_list_answer(
      as_bytes("<ListBucketResult><IsTruncated>false</IsTruncated>"
               "<Contents><Key>a%2F+</Key><Size>1</Size></Contents></ListBucketResult>"));
  ASSERT_TRUE(plain) << plain.error().message;
  EXPECT_EQ(plain->entries, (std::vector<S3ListEntry>{{"a%2F+", 1}}));
  EXPECT_FALSE(plain->truncated);
}

TEST(S3AnswersTest, BadListings) {
  const std::string begin = "<ListBucketResult><IsTruncated>false</IsTruncated>";
  const std::string end = "</ListBucketResult>";
  for (const std::string& text :
       {std::string("<html/>"), std::string("<ListBucketResult/>"), begin,
        "<ListBucketResult><IsTruncated>maybe</IsTruncated>" + end,
        "<ListBucketResult><IsTruncated>true</IsTruncated>" + end,
        begin + "<Contents><Key>a</Key></Contents>" + end,
        begin + "<Contents><Size>1</Size></Contents>" + end,
        begin + "<Contents><Key>a</Key><Size>-1</Size></Contents>" + end,
        begin + "<Contents><Key>a</Key><Key>b</Key><Size>1</Size></Contents>" + end,
        begin + "<Contents/>" + end,
        begin + "<EncodingType>url</EncodingType><Contents><Key>%</Key><Size>1</Size></Contents>" +
            end}) {
    const auto listing = parse_list_answer(as_bytes(text));
    ASSERT_FALSE(listing) << text;
    EXPECT_EQ(listing.error().code, ErrorCode::kUnavailable);
  }
}

TEST(S3AnswersTest, Removal) {
  auto errors = parse_delete_answer(as_bytes("<DeleteResult xmlns=\"x\"/>"));
  ASSERT_TRUE(errors) << errors.error().message;
  EXPECT_TRUE(errors->empty());
  errors = parse_delete_answer(
      as_bytes("<DeleteResult><Deleted><Key>a</Key></Deleted><Error><Key>b</Key>"
               "<Code>AccessDenied</Code><Message>no</Message></Error></DeleteResult>"));
  ASSERT_TRUE(errors) << errors.error().message;
  ASSERT_EQ(errors->size(), 1u);
  EXPECT_EQ((*errors)[0].key, "b");
  EXPECT_EQ((*errors)[0].code, "AccessDenied");
  EXPECT_EQ((*errors)[0].message, "no");
  for (const char* text : {"", "<Error><Code>x</Code></Error>", "<DeleteResult>",
                           "<DeleteResult><Error>x</Error></DeleteResult>"}) {
    EXPECT_FALSE(parse_delete_answer(as_bytes(text))) << text;
  }
}

}  // namespace
}  // namespace thaw
