// SPDX-License-Identifier: Apache-2.0
// Scans over log lines, 32 bytes at a time where AVX2 is present: where a level's name may begin,
// words in one case or the other, and the values of a line.
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

// MARK: values of a line

// 0 other, 1 letter g–z and G–Z, 2 letter a–f and A–F, 3 digit.
enum { OTHER = 0, LETTER = 1, HEX = 2, DIGIT = 3 };
static const uint8_t kinds[256] = {
    ['0'] = 3, ['1'] = 3, ['2'] = 3, ['3'] = 3, ['4'] = 3, ['5'] = 3, ['6'] = 3, ['7'] = 3,
    ['8'] = 3, ['9'] = 3, BOTH('a', 2), BOTH('b', 2), BOTH('c', 2), BOTH('d', 2), BOTH('e', 2),
    BOTH('f', 2), BOTH('g', 1), BOTH('h', 1), BOTH('i', 1), BOTH('j', 1), BOTH('k', 1),
    BOTH('l', 1), BOTH('m', 1), BOTH('n', 1), BOTH('o', 1), BOTH('p', 1), BOTH('q', 1),
    BOTH('r', 1), BOTH('s', 1), BOTH('t', 1), BOTH('u', 1), BOTH('v', 1), BOTH('w', 1),
    BOTH('x', 1), BOTH('y', 1), BOTH('z', 1),
};

// Digits, and what may stand before the value of a field.
static inline uint64_t chunk_plain(const uint8_t *p, size_t n) {
    uint64_t bits = 0;
    for (size_t i = 0; i < n; i++)
        bits |= (uint64_t)(kinds[p[i]] == DIGIT || p[i] == '=' || p[i] == '"') << i;
    return bits;
}

#if defined(__x86_64__)
AVX2 static inline uint32_t half_chunk(__m256i v) {
    __m256i digit = _mm256_sub_epi8(v, _mm256_set1_epi8('0'));
    __m256i is = _mm256_cmpeq_epi8(_mm256_min_epu8(digit, _mm256_set1_epi8(9)), digit);
    is = _mm256_or_si256(is, _mm256_cmpeq_epi8(v, _mm256_set1_epi8('=')));
    is = _mm256_or_si256(is, _mm256_cmpeq_epi8(v, _mm256_set1_epi8('"')));
    return (uint32_t)_mm256_movemask_epi8(is);
}

AVX2 static uint64_t chunk_avx2(const uint8_t *p, size_t n) {
    uint8_t room[64];
    if (n < 64) {
        memset(room, 0, sizeof room);
        memcpy(room, p, n);
        p = room;
    }
    return (uint64_t)half_chunk(_mm256_loadu_si256((const __m256i *)p))
        | (uint64_t)half_chunk(_mm256_loadu_si256((const __m256i *)(p + 32))) << 32;
}
#endif

/// Bits of the 64 bytes of a line that were looked at last.
struct scan {
    const uint8_t *line;
    size_t count, base;
    uint64_t bits;
};

static inline size_t next_mark(struct scan *s, size_t at) {
    while (at < s->count) {
        size_t base = at & ~(size_t)63;
        if (base != s->base) {
            size_t n = s->count - base < 64 ? s->count - base : 64;
            s->base = base;
#if defined(__x86_64__)
            s->bits = __builtin_cpu_supports("avx2") ? chunk_avx2(s->line + base, n)
                                                     : chunk_plain(s->line + base, n);
#else
            s->bits = chunk_plain(s->line + base, n);
#endif
        }
        uint64_t left = s->bits >> (at & 63);
        if (left) return at + (size_t)__builtin_ctzll(left);
        at = base + 64;
    }
    return s->count;
}

// What ends the value of a field that has no quotes.
static const uint8_t field_ends[256] = {
    [0] = 1, [' '] = 1, ['\t'] = 1, ['\n'] = 1, ['\r'] = 1, [','] = 1, [';'] = 1, ['&'] = 1,
    [')'] = 1, [']'] = 1, ['}'] = 1, ['>'] = 1, ['"'] = 1, ['\''] = 1, ['|'] = 1,
};

bool tern_ends_field(uint8_t byte) { return field_ends[byte] != 0; }

/// End of the value of a field that begins at `from`, `=` or a quote before it. `is_mixed`: whether it
/// has digits or, in quotes, backslashes.
static inline size_t field_end(const uint8_t *line, size_t count, size_t from, bool quoted,
                               bool *is_mixed) {
    size_t i = from;
    bool mixed = false;
    while (i < count) {
        uint8_t byte = line[i];
        if (quoted ? byte == '"' : field_ends[byte] != 0) break;
        bool escape = byte == '\\' && quoted;
        mixed |= escape || kinds[byte] == DIGIT;
        i += escape ? 2 : 1;
    }
    *is_mixed = mixed;
    return i < count ? i : count;
}

/// Copies; both sides may be touched up to 15 bytes further where `wide`.
static inline void copy_piece(uint8_t *to, const uint8_t *from, size_t n, bool wide) {
    if (!wide) {
        memcpy(to, from, n);
        return;
    }
    for (size_t i = 0; i < n; i += 16) memcpy(to + i, from + i, 16);
}

long tern_take_values(const uint8_t *line, size_t count, size_t readable, uint32_t base,
                      uint8_t *text, size_t *text_count, tern_slice *values, size_t most) {
    const bool wide = readable >= count + 16;
    struct scan scan = {.line = line, .count = count, .base = SIZE_MAX};
    size_t done = 0, copied = 0, written = 0, n = 0, at = 0, closing = SIZE_MAX;
    for (;;) {
        size_t mark = next_mark(&scan, at);
        if (mark == count) break;
        size_t from, to;
        if (kinds[line[mark]] != DIGIT) {
            bool quoted = line[mark] == '"';
            at = mark + 1;
            if (quoted) {
                if (mark == closing || mark == 0) continue;
                // The sign before the quote must be the template's own.
                size_t sign = line[mark - 1] == ' ' && mark > 1 ? mark - 2 : mark - 1;
                if (sign < copied || (line[sign] != ':' && line[sign] != '=')) continue;
            } else if (at < count && line[at] == '"') {
                continue;
            }
            bool is_mixed = false;
            size_t end = field_end(line, count, at, quoted, &is_mixed);
            closing = end;
            // Of a field with digits what has them is a value.
            if (end == at || is_mixed) continue;
            from = at;
            to = end;
            at = done = end;
        } else {
            size_t start = mark, i = mark, last = mark, digits = 0;
            bool other = false;
            while (start > done) {
                uint8_t kind = kinds[line[start - 1]];
                if (kind == OTHER) break;
                other |= kind == LETTER;
                start--;
            }
            for (; i < count; i++) {
                uint8_t kind = kinds[line[i]];
                if (kind == OTHER) break;
                if (kind == DIGIT) {
                    last = i;
                    digits++;
                } else {
                    other |= kind == LETTER;
                }
            }
            at = done = i;
            from = start;
            to = i;
            if (other && digits == last - mark + 1 && (mark == start || last == i - 1)) {
                from = mark;
                to = last + 1;
            }
        }
        if (n == most) return -1;
        copy_piece(text + written, line + copied, from - copied, wide);
        written += from - copied;
        text[written++] = 0;
        values[n].offset = base + (uint32_t)from;
        values[n].count = (uint32_t)(to - from);
        n++;
        copied = to;
    }
    copy_piece(text + written, line + copied, count - copied, wide);
    *text_count = written + (count - copied);
    return (long)n;
}
