// SPDX-License-Identifier: Apache-2.0
// Scans over log lines, 32 bytes at a time where AVX2 is present: where a level's name may begin, and
// words in one case or the other.
#include "cshims.h"

#if defined(__x86_64__)
#include <immintrin.h>
#define AVX2 __attribute__((target("avx2")))
#endif

// Names of levels begin with one of seven triples; bit k stands for triple k.
#define BOTH(lower, bits) [lower] = (bits), [(lower) ^ 0x20] = (bits)
static const uint8_t level_first[256] = {
    BOTH('t', 1), BOTH('d', 2), BOTH('f', 4), BOTH('c', 8), BOTH('e', 16), BOTH('w', 32),
    BOTH('i', 64),
};
static const uint8_t level_second[256] = {
    BOTH('r', 1 | 8 | 16), BOTH('e', 2), BOTH('a', 4 | 32), BOTH('n', 64),
};
static const uint8_t level_third[256] = {
    BOTH('a', 1), BOTH('b', 2), BOTH('t', 4), BOTH('i', 8), BOTH('r', 16 | 32), BOTH('f', 64),
};

static size_t level_plain(const uint8_t *line, size_t count, size_t from) {
    for (size_t i = from; i + 3 <= count; i++)
        if (level_first[line[i]] & level_second[line[i + 1]] & level_third[line[i + 2]]) return i;
    return count;
}

#if defined(__x86_64__)
/// Bits of 32 bytes by two tables of sixteen: those of 0x60…0x6f and of 0x70…0x7f.
AVX2 static inline __m256i letter_bits(__m256i v, __m256i low, __m256i high) {
    const __m256i bias = _mm256_set1_epi8(0x70);
    __m256i t = _mm256_xor_si256(_mm256_or_si256(v, _mm256_set1_epi8(0x20)),
                                 _mm256_set1_epi8(0x60));
    // An index with its top bit set gives zero.
    __m256i a = _mm256_shuffle_epi8(low, _mm256_adds_epu8(t, bias));
    __m256i b = _mm256_shuffle_epi8(
        high, _mm256_adds_epu8(_mm256_xor_si256(t, _mm256_set1_epi8(0x10)), bias));
    return _mm256_or_si256(a, b);
}

AVX2 static size_t level_avx2(const uint8_t *line, size_t count, size_t from) {
#define TABLE(name, base) \
    _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(name + base)))
    const __m256i low1 = TABLE(level_first, 0x60), high1 = TABLE(level_first, 0x70);
    const __m256i low2 = TABLE(level_second, 0x60), high2 = TABLE(level_second, 0x70);
    const __m256i low3 = TABLE(level_third, 0x60), high3 = TABLE(level_third, 0x70);
#undef TABLE
    size_t i = from;
    for (; i + 34 <= count; i += 32) {
        __m256i a = letter_bits(_mm256_loadu_si256((const __m256i *)(line + i)), low1, high1);
        __m256i b = letter_bits(_mm256_loadu_si256((const __m256i *)(line + i + 1)), low2, high2);
        __m256i c = letter_bits(_mm256_loadu_si256((const __m256i *)(line + i + 2)), low3, high3);
        __m256i all = _mm256_and_si256(a, _mm256_and_si256(b, c));
        uint32_t none = (uint32_t)_mm256_movemask_epi8(
            _mm256_cmpeq_epi8(all, _mm256_setzero_si256()));
        if (none != 0xffffffffu) return i + (size_t)__builtin_ctz(~none);
    }
    return level_plain(line, count, i);
}
#endif

size_t tern_find_level(const uint8_t *line, size_t count, size_t from) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) return level_avx2(line, count, from);
#endif
    return level_plain(line, count, from);
}

/// Whether the word stands there in lower case or, whole, in upper case.
static inline bool is_word(const uint8_t *at, const uint8_t *lower, size_t m) {
    uint8_t flip = at[0] ^ lower[0];
    if (flip != 0 && flip != 0x20) return false;
    for (size_t j = 1; j < m; j++)
        if ((at[j] ^ lower[j]) != flip) return false;
    return true;
}

static size_t word_plain(const uint8_t *line, size_t count, const uint8_t *lower, size_t m,
                         size_t from) {
    for (size_t i = from; i + m <= count; i++)
        if (is_word(line + i, lower, m)) return i;
    return count;
}

#if defined(__x86_64__)
AVX2 static size_t word_avx2(const uint8_t *line, size_t count, const uint8_t *lower, size_t m,
                             size_t from) {
    const __m256i fold = _mm256_set1_epi8(0x20);
    const __m256i first = _mm256_set1_epi8((char)lower[0]);
    const __m256i last = _mm256_set1_epi8((char)lower[m - 1]);
    size_t i = from;
    for (; i + m - 1 + 32 <= count; i += 32) {
        __m256i a = _mm256_or_si256(_mm256_loadu_si256((const __m256i *)(line + i)), fold);
        __m256i b = _mm256_or_si256(_mm256_loadu_si256((const __m256i *)(line + i + m - 1)), fold);
        uint32_t mask = (uint32_t)_mm256_movemask_epi8(
            _mm256_and_si256(_mm256_cmpeq_epi8(first, a), _mm256_cmpeq_epi8(last, b)));
        while (mask) {
            size_t at = i + (size_t)__builtin_ctz(mask);
            if (is_word(line + at, lower, m)) return at;
            mask &= mask - 1;
        }
    }
    return word_plain(line, count, lower, m, i);
}
#endif

size_t tern_find_word(const uint8_t *line, size_t count, const uint8_t *lower, size_t m,
                      size_t from) {
    if (m == 0 || from >= count) return count;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) return word_avx2(line, count, lower, m, from);
#endif
    return word_plain(line, count, lower, m, from);
}
