// SPDX-License-Identifier: Apache-2.0
// Substring search: first-and-last-byte compare in 32-byte steps where AVX2 is present,
// memmem elsewhere.
#define _GNU_SOURCE
#include "cshims.h"

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("avx2"))) static long find_avx2(const uint8_t *hay, size_t count,
                                                      const uint8_t *needle, size_t m) {
    const __m256i first = _mm256_set1_epi8((char)needle[0]);
    const __m256i last = _mm256_set1_epi8((char)needle[m - 1]);
    size_t i = 0;
    for (; i + m - 1 + 32 <= count; i += 32) {
        __m256i a = _mm256_loadu_si256((const __m256i *)(hay + i));
        __m256i b = _mm256_loadu_si256((const __m256i *)(hay + i + m - 1));
        uint32_t mask = (uint32_t)_mm256_movemask_epi8(
            _mm256_and_si256(_mm256_cmpeq_epi8(first, a), _mm256_cmpeq_epi8(last, b)));
        while (mask) {
            unsigned bit = (unsigned)__builtin_ctz(mask);
            if (memcmp(hay + i + bit, needle, m) == 0) return (long)(i + bit);
            mask &= mask - 1;
        }
    }
    const uint8_t *found = memmem(hay + i, count - i, needle, m);
    return found ? (long)(found - hay) : -1;
}
#endif

long tern_find(const uint8_t *hay, size_t count, const uint8_t *needle, size_t needle_count) {
    if (needle_count == 0) return 0;
    if (needle_count > count) return -1;
    if (needle_count == 1) {
        const uint8_t *found = memchr(hay, needle[0], count);
        return found ? (long)(found - hay) : -1;
    }
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) return find_avx2(hay, count, needle, needle_count);
#endif
    const uint8_t *found = memmem(hay, count, needle, needle_count);
    return found ? (long)(found - hay) : -1;
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static size_t either_avx2(const uint8_t *hay, size_t count,
                                                          uint8_t a, uint8_t b) {
    const __m256i wantA = _mm256_set1_epi8((char)a), wantB = _mm256_set1_epi8((char)b);
    size_t i = 0;
    for (; i + 32 <= count; i += 32) {
        __m256i v = _mm256_loadu_si256((const __m256i *)(hay + i));
        uint32_t mask = (uint32_t)_mm256_movemask_epi8(
            _mm256_or_si256(_mm256_cmpeq_epi8(wantA, v), _mm256_cmpeq_epi8(wantB, v)));
        if (mask) return i + (size_t)__builtin_ctz(mask);
    }
    for (; i < count; i++)
        if (hay[i] == a || hay[i] == b) return i;
    return count;
}
#endif

size_t tern_find_either(const uint8_t *hay, size_t count, uint8_t a, uint8_t b) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) return either_avx2(hay, count, a, b);
#endif
    for (size_t i = 0; i < count; i++)
        if (hay[i] == a || hay[i] == b) return i;
    return count;
}
