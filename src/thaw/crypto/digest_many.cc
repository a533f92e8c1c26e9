// SPDX-License-Identifier: Apache-2.0
//
// FIPS 180-4 with the SHA extensions (Intel SDM, volume 2: SHA256RNDS2, SHA256MSG1, SHA256MSG2), N
// messages side by side. OpenSSL's implementation is the reference that the tests compare with, and
// the one that is used on machines without the extensions.
#include "thaw/crypto/digest_many.h"

#include <algorithm>
#include <array>
#include <optional>

#include "thaw/base/check.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace thaw {
namespace {

constexpr size_t kLanesMax = 4;

void hash_each(std::span<const ByteSpan> messages, std::span<Digest> out) {
  Sha256 hasher;
  for (size_t i = 0; i < messages.size(); ++i) out[i] = hasher.of(messages[i]);
}

#if defined(__x86_64__)

constexpr size_t kBlockBytes = 64;

alignas(64) constexpr std::array<uint32_t, 64> kRoundConstants{
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

/// The state in the order that the instructions want: abef = A, B, E, F from the top word down.
struct State {
  __m128i abef;
  __m128i cdgh;
};

State initial_state() {
  return {_mm_set_epi32(0x6a09e667, static_cast<int>(0xbb67ae85), 0x510e527f,
                        static_cast<int>(0x9b05688c)),
          _mm_set_epi32(0x3c6ef372, static_cast<int>(0xa54ff53a), 0x1f83d9ab, 0x5be0cd19)};
}

/// Runs `blocks` blocks of N messages side by side and moves the pointers past them.
template <size_t N>
__attribute__((target("sha,sse4.1"))) void compress(State* states, const std::byte** at,
                                                    size_t blocks) {
  const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  __m128i abef[N];
  __m128i cdgh[N];
  for (size_t i = 0; i < N; ++i) {
    abef[i] = states[i].abef;
    cdgh[i] = states[i].cdgh;
  }
  for (; blocks > 0; --blocks) {
    __m128i words[N][4];  // the last 16 words of each message schedule
    __m128i abef_before[N];
    __m128i cdgh_before[N];
    for (size_t i = 0; i < N; ++i) {
      abef_before[i] = abef[i];
      cdgh_before[i] = cdgh[i];
      for (size_t k = 0; k < 4; ++k) {
        // SAFETY: an unaligned load of 16 bytes inside the block.
        const auto* word = reinterpret_cast<const __m128i*>(at[i] + 16 * k);
        words[i][k] = _mm_shuffle_epi8(_mm_loadu_si128(word), big_endian);
      }
      at[i] += kBlockBytes;
    }
#pragma GCC unroll 16
    for (size_t round = 0; round < 16; ++round) {  // four rounds of SHA-256 each
      // SAFETY: an aligned load; the table is aligned and `round` inside it.
      const auto* constants = reinterpret_cast<const __m128i*>(kRoundConstants.data() + 4 * round);
      const __m128i constant = _mm_load_si128(constants);
#pragma GCC unroll 4
      for (size_t i = 0; i < N; ++i) {
        const __m128i word = words[i][round % 4];
        const __m128i sum = _mm_add_epi32(word, constant);
        cdgh[i] = _mm_sha256rnds2_epu32(cdgh[i], abef[i], sum);
        abef[i] = _mm_sha256rnds2_epu32(abef[i], cdgh[i], _mm_shuffle_epi32(sum, 0x0e));
        if (round >= 12) continue;
        const __m128i older = words[i][(round + 1) % 4];
        const __m128i newer = words[i][(round + 2) % 4];
        const __m128i newest = words[i][(round + 3) % 4];
        words[i][round % 4] = _mm_sha256msg2_epu32(
            _mm_add_epi32(_mm_sha256msg1_epu32(word, older), _mm_alignr_epi8(newest, newer, 4)),
            newest);
      }
    }
    for (size_t i = 0; i < N; ++i) {
      abef[i] = _mm_add_epi32(abef[i], abef_before[i]);
      cdgh[i] = _mm_add_epi32(cdgh[i], cdgh_before[i]);
    }
  }
  for (size_t i = 0; i < N; ++i) states[i] = {abef[i], cdgh[i]};
}

Digest digest_of(const State& state) {
  std::array<uint32_t, 4> abef;
  std::array<uint32_t, 4> cdgh;
  static_assert(sizeof abef == sizeof state.abef);
  std::memcpy(abef.data(), &state.abef, sizeof abef);
  std::memcpy(cdgh.data(), &state.cdgh, sizeof cdgh);
  const std::array<uint32_t, 8> words{abef[3], abef[2], cdgh[3], cdgh[2],
                                      abef[1], abef[0], cdgh[1], cdgh[0]};
  Digest digest;
  for (size_t i = 0; i < words.size(); ++i) {
    const uint32_t big_endian = __builtin_bswap32(words[i]);
    std::memcpy(digest.data() + 4 * i, &big_endian, sizeof big_endian);
  }
  return digest;
}

/// A message's last bytes and its padding: one block or two.
struct Tail {
  std::array<std::byte, 2 * kBlockBytes> bytes{};
  size_t blocks = 0;

  explicit Tail(ByteSpan message) {
    const ByteSpan rest = message.last(message.size() % kBlockBytes);
    std::copy(rest.begin(), rest.end(), bytes.begin());
    bytes[rest.size()] = std::byte{0x80};
    blocks = rest.size() + 1 + sizeof(uint64_t) <= kBlockBytes ? 1 : 2;
    const uint64_t bits = __builtin_bswap64(uint64_t{message.size()} * 8);
    std::memcpy(bytes.data() + blocks * kBlockBytes - sizeof bits, &bits, sizeof bits);
  }
};

/// N messages side by side as far as the shortest goes, then each alone.
template <size_t N>
void hash_lanes(const ByteSpan* messages, Digest* out) {
  std::array<State, N> states;
  std::array<const std::byte*, N> at;
  size_t common = messages[0].size() / kBlockBytes;
  bool equal = true;
  for (size_t i = 0; i < N; ++i) {
    states[i] = initial_state();
    at[i] = messages[i].data();
    common = std::min(common, messages[i].size() / kBlockBytes);
    equal = equal && messages[i].size() == messages[0].size();
  }
  compress<N>(states.data(), at.data(), common);
  if constexpr (N > 1) {
    for (size_t i = 0; !equal && i < N; ++i) {
      compress<1>(&states[i], &at[i], messages[i].size() / kBlockBytes - common);
    }
  }
  // With equal lengths the tails have equal numbers of blocks and go side by side as well.
  std::array<std::optional<Tail>, N> tails;
  for (size_t i = 0; i < N; ++i) at[i] = tails[i].emplace(messages[i]).bytes.data();
  if (equal) {
    compress<N>(states.data(), at.data(), tails[0]->blocks);
  } else {
    for (size_t i = 0; i < N; ++i) compress<1>(&states[i], &at[i], tails[i]->blocks);
  }
  for (size_t i = 0; i < N; ++i) out[i] = digest_of(states[i]);
}

bool detect() {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0 || (ebx & bit_SHA) == 0) return false;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_SSE4_1) != 0;
}

#endif

}  // namespace

bool sha256_many_is_fast() {
#if defined(__x86_64__)
  static const bool fast = detect();
  return fast;
#else
  return false;
#endif
}

void sha256_many(std::span<const ByteSpan> messages, std::span<Digest> out) {
  CHECK(messages.size() == out.size());
  if (!sha256_many_is_fast()) return hash_each(messages, out);
#if defined(__x86_64__)
  while (!messages.empty()) {
    const size_t lanes = std::min(messages.size(), kLanesMax);
    switch (lanes) {
      case 4:
        hash_lanes<4>(messages.data(), out.data());
        break;
      case 3:
        hash_lanes<3>(messages.data(), out.data());
        break;
      case 2:
        hash_lanes<2>(messages.data(), out.data());
        break;
      default:
        hash_lanes<1>(messages.data(), out.data());
    }
    messages = messages.subspan(lanes);
    out = out.subspan(lanes);
  }
#endif
}

}  // namespace thaw
