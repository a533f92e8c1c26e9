// SPDX-License-Identifier: Apache-2.0
#include "thaw/s3/credentials.h"

#include <gtest/gtest.h>

#include <fstream>
#include <map>

#include "thaw/testing/temp_dir.h"

namespace thaw {
namespace {

class CredentialsTest : public testing::Test {
 protected:
  Result<S3Credentials> load() {
    sources_.environment = [this](const char* name) -> std::optional<std::string> {
      const auto found = environment_.find(name);
      if (found == environment_.end()) return std::nullopt;
      return found->second;
    };
    return load_s3_credentials(sources_);
  }
  std::string write(const std::string& text) {
    const std::string path = dir_.file("credentials");
    std::ofstream(path) << text;
    return path;
  }
  static std::string secret_of(const S3Credentials& credentials) {
    return std::string(as_text(credentials.secret_access_key.span()));
  }
  static std::string token_of(const S3Credentials& credentials) {
    return std::string(as_text(credentials.session_token.span()));
  }

  TempDir dir_;
  S3CredentialSources sources_;
  std::map<std::string, std::string> environment_;
};

constexpr const char* kFile =
    "# keys\n"
    "[default]\r\n"
    "aws_access_key_id = FILEID\r\n"
    "aws_secret_access_key=file/secret=+\n"
    "\n"
    "[ other ]\n"
    "aws_access_key_id=OTHERID\n"
    "; a comment\n"
    "aws_secret_access_key = other-secret\n"
    "aws_session_token = other-token\n"
    "[empty]\n"
    "region = x\n"
    "[half]\n"
    "aws_access_key_id=HALF\n";

TEST_F(CredentialsTest, TheConfigurationComesFirst) {
  environment_ = {{"AWS_ACCESS_KEY_ID", "ENVID"}, {"AWS_SECRET_ACCESS_KEY", "env-secret"}};
  sources_.access_key_id = "CONFID";
  sources_.secret_access_key = "conf-secret";
  const auto credentials = load();
  ASSERT_TRUE(credentials) << credentials.error().message;
  EXPECT_EQ(credentials->access_key_id, "CONFID");
  EXPECT_EQ(secret_of(*credentials), "conf-secret");
  EXPECT_TRUE(credentials->session_token.empty());
}

TEST_F(CredentialsTest, ThenTheEnvironment) {
  environment_ = {{"AWS_ACCESS_KEY_ID", "ENVID"},
                  {"AWS_SECRET_ACCESS_KEY", "env-secret"},
                  {"AWS_SESSION_TOKEN", "env-token"},
                  {"AWS_SHARED_CREDENTIALS_FILE", write(kFile)}};
  const auto credentials = load();
  ASSERT_TRUE(credentials) << credentials.error().message;
  EXPECT_EQ(credentials->access_key_id, "ENVID");
  EXPECT_EQ(secret_of(*credentials), "env-secret");
  EXPECT_EQ(token_of(*credentials), "env-token");
  const S3Credentials copy = credentials->clone();
  EXPECT_EQ(secret_of(copy), "env-secret");
  EXPECT_EQ(token_of(copy), "env-token");
}

TEST_F(CredentialsTest, ThenTheFile) {
  environment_ = {{"AWS_SHARED_CREDENTIALS_FILE", write(kFile)}};
  auto credentials = load();
  ASSERT_TRUE(credentials) << credentials.error().message;
  EXPECT_EQ(credentials->access_key_id, "FILEID");
  EXPECT_EQ(secret_of(*credentials), "file/secret=+");
  EXPECT_TRUE(credentials->session_token.empty());

  environment_["AWS_PROFILE"] = "other";
  credentials = load();
  ASSERT_TRUE(credentials) << credentials.error().message;
  EXPECT_EQ(credentials->access_key_id, "OTHERID");
  EXPECT_EQ(secret_of(*credentials), "other-secret");
  EXPECT_EQ(token_of(*credentials), "other-token");
}

TEST_F(CredentialsTest, TheFileInTheHomeDirectory) {
  ASSERT_TRUE(std::filesystem::create_directories(dir_.file(".aws")));
  std::ofstream(dir_.file(".aws/credentials")) << kFile;
  environment_ = {{"HOME", dir_.path()}};
  const auto credentials = load();
  ASSERT_TRUE(credentials) << credentials.error().message;
  EXPECT_EQ(credentials->access_key_id, "FILEID");
}

TEST_F(CredentialsTest, NoneSaysWhereItLooked) {
  auto credentials = load();
  ASSERT_FALSE(credentials);
  EXPECT_EQ(credentials.error().code, ErrorCode::kDenied);
  EXPECT_NE(credentials.error().message.find("HOME"), std::string::npos);
  for (const std::string profile : {"empty", "missing"}) {
    const std::string path = write(kFile);
    environment_ = {{"AWS_SHARED_CREDENTIALS_FILE", path}, {"AWS_PROFILE", profile}};
    credentials = load();
    ASSERT_FALSE(credentials) << profile;
    EXPECT_EQ(credentials.error().code, ErrorCode::kDenied);
    for (const std::string& part : {std::string("AWS_ACCESS_KEY_ID"), path, "[" + profile + "]"}) {
      EXPECT_NE(credentials.error().message.find(part), std::string::npos)
          << credentials.error().message;
    }
  }
  environment_ = {{"AWS_SHARED_CREDENTIALS_FILE", dir_.file("none")}};
  credentials = load();
  ASSERT_FALSE(credentials);
  EXPECT_NE(credentials.error().message.find("no such file"), std::string::npos);
}

TEST_F(CredentialsTest, HalfAKeyIsAnErrorAndNoSecretIsInIt) {
  sources_.secret_access_key = "conf-secret-text";
  auto credentials = load();
  ASSERT_FALSE(credentials);
  EXPECT_EQ(credentials.error().code, ErrorCode::kInvalid);
  EXPECT_EQ(credentials.error().message.find("conf-secret-text"), std::string::npos);

  sources_ = {};
  environment_ = {{"AWS_ACCESS_KEY_ID", "ENVID"}};
  EXPECT_EQ(load().error().code, ErrorCode::kInvalid);
  environment_ = {{"AWS_SHARED_CREDENTIALS_FILE", write(kFile)}, {"AWS_PROFILE", "half"}};
  EXPECT_EQ(load().error().code, ErrorCode::kInvalid);

  // A line break in a header would be the begin of another header.
  environment_ = {{"AWS_ACCESS_KEY_ID", "ID"},
                  {"AWS_SECRET_ACCESS_KEY", "s"},
                  {"AWS_SESSION_TOKEN", "a\r\nx: y-injected"}};
  credentials = load();
  ASSERT_FALSE(credentials);
  EXPECT_EQ(credentials.error().code, ErrorCode::kInvalid);
  EXPECT_EQ(credentials.error().message.find("y-injected"), std::string::npos);
}

}  // namespace
}  // namespace thaw
