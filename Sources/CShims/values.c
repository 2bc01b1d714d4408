// SPDX-License-Identifier: Apache-2.0
// The values of a log line, and long runs of hexadecimal digits. Bytes are told apart 64 at a time, one
// bit for each and kind; everything after that is arithmetic on these bits.
#include "cshims.h"

#if defined(__x86_64__)
#include <immintrin.h>
#define AVX2 __attribute__((target("avx2,bmi,bmi2,lzcnt")))
static inline bool has_avx2(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2");
}
#endif

/// What is known of 64 bytes: lowest bit first.
typedef struct {
    /// ASCII letters and digits; later whole fields too.
    uint64_t filled;
    uint64_t digits;
    /// Behind the last byte of a value.
    uint64_t stops;
    /// The same of runs with digits and letters beyond f, of which only the digits may be the value.
    uint64_t mixed;
    /// What ends the value of a field that has no quotes.
    uint64_t ends;
    /// Quotes and backslashes.
    uint64_t escapes;
    /// `=` and quotes that the value of a field may follow.
    uint64_t fields;
} chunk;
_Static_assert(sizeof(chunk) == TERN_CHUNK_SIZE, "room for chunks");

/// Kinds of 64 bytes as they are found.
typedef struct {
    uint64_t digits, alnum, letters, ends, quotes, escapes, equals, colons, blanks;
} kinds64;

// 0 other, 1 letter g–z and G–Z, 2 letter a–f and A–F, 3 digit.
enum { OTHER = 0, LETTER = 1, HEX = 2, DIGIT = 3 };
#define BOTH(lower, kind) [lower] = (kind), [(lower) ^ 0x20] = (kind)
static const uint8_t kinds[256] = {
    ['0'] = 3, ['1'] = 3, ['2'] = 3, ['3'] = 3, ['4'] = 3, ['5'] = 3, ['6'] = 3, ['7'] = 3,
    ['8'] = 3, ['9'] = 3, BOTH('a', 2), BOTH('b', 2), BOTH('c', 2), BOTH('d', 2), BOTH('e', 2),
    BOTH('f', 2), BOTH('g', 1), BOTH('h', 1), BOTH('i', 1), BOTH('j', 1), BOTH('k', 1),
    BOTH('l', 1), BOTH('m', 1), BOTH('n', 1), BOTH('o', 1), BOTH('p', 1), BOTH('q', 1),
    BOTH('r', 1), BOTH('s', 1), BOTH('t', 1), BOTH('u', 1), BOTH('v', 1), BOTH('w', 1),
    BOTH('x', 1), BOTH('y', 1), BOTH('z', 1),
};

static const uint8_t field_ends[256] = {
    [0] = 1, [' '] = 1, ['\t'] = 1, ['\n'] = 1, ['\r'] = 1, [','] = 1, [';'] = 1, ['&'] = 1,
    [')'] = 1, [']'] = 1, ['}'] = 1, ['>'] = 1, ['"'] = 1, ['\''] = 1, ['|'] = 1,
};

bool tern_ends_field(uint8_t byte) { return field_ends[byte] != 0; }

static inline kinds64 look_plain(const uint8_t *p, size_t n) {
    kinds64 c = {0};
    for (size_t i = 0; i < n; i++) {
        const uint8_t byte = p[i], kind = kinds[byte];
        const uint64_t bit = (uint64_t)1 << i;
        if (kind == DIGIT) c.digits |= bit;
        if (kind != OTHER) c.alnum |= bit;
        if (kind == LETTER) c.letters |= bit;
        if (field_ends[byte]) c.ends |= bit;
        if (byte == '"') c.quotes |= bit;
        if (byte == '"' || byte == '\\') c.escapes |= bit;
        if (byte == '=') c.equals |= bit;
        if (byte == ':') c.colons |= bit;
        if (byte == ' ') c.blanks |= bit;
    }
    return c;
}

#if defined(__x86_64__)
// Kinds by the two halves of a byte: a kind is there where both tables have its bit. Digits have the
// highest, which needs no comparison.
enum {
    K_DIGIT = 0x80, K_UPPER_ROW = 0x40, K_LOWER_ROW = 0x20, K_HEX = 0x10,
    K_END0 = 0x08, K_END2 = 0x04, K_END3 = 0x02, K_END57 = 0x01,
};
static const uint8_t by_low[16] = {
    K_DIGIT | K_LOWER_ROW | K_END0 | K_END2,                           // NUL, blank, 0, p
    K_DIGIT | K_UPPER_ROW | K_LOWER_ROW | K_HEX,                       // 1 a q
    K_DIGIT | K_UPPER_ROW | K_LOWER_ROW | K_HEX | K_END2,              // " 2 b r
    K_DIGIT | K_UPPER_ROW | K_LOWER_ROW | K_HEX,
    K_DIGIT | K_UPPER_ROW | K_LOWER_ROW | K_HEX,
    K_DIGIT | K_UPPER_ROW | K_LOWER_ROW | K_HEX,
    K_DIGIT | K_UPPER_ROW | K_LOWER_ROW | K_HEX | K_END2,              // & 6 f v
    K_DIGIT | K_UPPER_ROW | K_LOWER_ROW | K_END2,                      // ' 7 g w
    K_DIGIT | K_UPPER_ROW | K_LOWER_ROW,
    K_DIGIT | K_UPPER_ROW | K_LOWER_ROW | K_END0 | K_END2,             // tab ) 9 i y
    K_UPPER_ROW | K_LOWER_ROW | K_END0,                                // line feed, j z
    K_UPPER_ROW | K_END3,                                              // ; k
    K_UPPER_ROW | K_END2,                                              // , l
    K_UPPER_ROW | K_END0 | K_END57,                                    // return, ] } m
    K_UPPER_ROW | K_END3,                                              // > n
    K_UPPER_ROW,
};
static const uint8_t by_high[16] = {
    K_END0, 0, K_END2, K_DIGIT | K_END3, K_UPPER_ROW | K_HEX, K_LOWER_ROW | K_END57,
    K_UPPER_ROW | K_HEX, K_LOWER_ROW | K_END57, 0, 0, 0, 0, 0, 0, 0, 0,
};

AVX2 static inline uint32_t has(__m256i v, int bits) {
    return ~(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(
        _mm256_and_si256(v, _mm256_set1_epi8((char)bits)), _mm256_setzero_si256()));
}

AVX2 static inline uint32_t equal(__m256i v, char byte) {
    return (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(v, _mm256_set1_epi8(byte)));
}

AVX2 static inline __m256i kinds_avx2(__m256i v) {
    const __m256i low = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)by_low));
    const __m256i high = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)by_high));
    const __m256i nibble = _mm256_set1_epi8(15);
    return _mm256_and_si256(
        _mm256_shuffle_epi8(low, _mm256_and_si256(v, nibble)),
        _mm256_shuffle_epi8(high, _mm256_and_si256(_mm256_srli_epi16(v, 4), nibble)));
}

#define BOTH_HALVES(of) ((uint64_t)of(a, ka) | (uint64_t)of(b, kb) << 32)
#define DIGITS(v, k) (uint32_t)_mm256_movemask_epi8(k)
#define LETTERS(v, k) has(k, K_UPPER_ROW | K_LOWER_ROW)
#define HEXES(v, k) has(k, K_HEX)
#define ENDS(v, k) (has(k, K_END0 | K_END2 | K_END3 | K_END57) | equal(v, '|'))
#define QUOTES(v, k) equal(v, '"')
#define SLASHES(v, k) equal(v, '\\')
#define EQUALS(v, k) equal(v, '=')
#define COLONS(v, k) equal(v, ':')
#define BLANKS(v, k) equal(v, ' ')

AVX2 static inline kinds64 look_avx2(const uint8_t *p) {
    const __m256i a = _mm256_loadu_si256((const __m256i *)p);
    const __m256i b = _mm256_loadu_si256((const __m256i *)(p + 32));
    const __m256i ka = kinds_avx2(a), kb = kinds_avx2(b);
    kinds64 c;
    c.digits = BOTH_HALVES(DIGITS);
    const uint64_t letters = BOTH_HALVES(LETTERS);
    c.alnum = c.digits | letters;
    c.letters = letters & ~BOTH_HALVES(HEXES);
    c.ends = BOTH_HALVES(ENDS);
    c.quotes = BOTH_HALVES(QUOTES);
    c.escapes = c.quotes | BOTH_HALVES(SLASHES);
    c.equals = BOTH_HALVES(EQUALS);
    c.colons = BOTH_HALVES(COLONS);
    c.blanks = BOTH_HALVES(BLANKS);
    return c;
}

#define AVX512 __attribute__((target("avx512f,avx512bw,avx2,bmi,bmi2,lzcnt")))
static inline bool has_avx512(void) { return has_avx2() && __builtin_cpu_supports("avx512bw"); }

AVX512 static inline uint64_t below(__m512i v, char from, char count) {
    return _mm512_cmplt_epu8_mask(_mm512_sub_epi8(v, _mm512_set1_epi8(from)),
                                  _mm512_set1_epi8(count));
}

AVX512 static inline uint64_t equal512(__m512i v, char byte) {
    return _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8(byte));
}

AVX512 static inline kinds64 look_avx512(const uint8_t *p, size_t n) {
    // Bytes that are not asked for are not touched.
    const __m512i v = _mm512_maskz_loadu_epi8(
        n >= 64 ? ~(uint64_t)0 : ((uint64_t)1 << n) - 1, p);
    const __m512i folded = _mm512_or_si512(v, _mm512_set1_epi8(0x20));
    const __m512i low = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)by_low));
    const __m512i high = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)by_high));
    const __m512i nibble = _mm512_set1_epi8(15);
    const __m512i kind = _mm512_and_si512(
        _mm512_shuffle_epi8(low, _mm512_and_si512(v, nibble)),
        _mm512_shuffle_epi8(high, _mm512_and_si512(_mm512_srli_epi16(v, 4), nibble)));
    const uint64_t letters = below(folded, 'a', 26);
    kinds64 c;
    c.digits = below(v, '0', 10);
    c.alnum = c.digits | letters;
    c.letters = letters & ~below(folded, 'a', 6);
    c.ends = _mm512_test_epi8_mask(kind, _mm512_set1_epi8(K_END0 | K_END2 | K_END3 | K_END57))
        | equal512(v, '|');
    c.quotes = equal512(v, '"');
    c.escapes = c.quotes | equal512(v, '\\');
    c.equals = equal512(v, '=');
    c.colons = equal512(v, ':');
    c.blanks = equal512(v, ' ');
    return c;
}
#endif

/// What goes over from one chunk to the next: whether a run with digits, or letters, is open, and the
/// bytes before.
typedef struct {
    uint8_t digits, letters;
    uint64_t signs, signs_and_blanks;
} carry;

static inline uint64_t add(uint64_t a, uint64_t b, uint8_t *carry) {
    uint64_t sum;
    const bool first = __builtin_add_overflow(a, b, &sum);
    const bool second = __builtin_add_overflow(sum, (uint64_t)*carry, &sum);
    *carry = first | second;
    return sum;
}

/// The chunk that these kinds make.
static inline chunk taken(const kinds64 *k, carry *from) {
    chunk c;
    c.filled = k->alnum;
    c.digits = k->digits;
    // A run of ones plus some of its bits, one at least, carries into the place behind the run.
    c.stops = add(k->alnum, k->digits, &from->digits) & ~k->alnum;
    c.mixed = add(k->alnum, k->letters, &from->letters) & ~k->alnum & c.stops;
    c.ends = k->ends;
    c.escapes = k->escapes;
    // Quotes behind a sign, with a blank between or not, and signs with no quote behind.
    const uint64_t signs = k->equals | k->colons;
    const uint64_t before = signs << 1 | from->signs;
    const uint64_t blanked = before & k->blanks;
    c.fields = (k->quotes & (before | blanked << 1 | from->signs_and_blanks)) | k->equals;
    from->signs = signs >> 63;
    from->signs_and_blanks = blanked >> 63;
    return c;
}

/// Fills count / 64 + 1 chunks; bits behind the line are zero but for stops.
static inline __attribute__((always_inline)) void take_apart(
    const uint8_t *line, size_t count, size_t readable, chunk *out,
    kinds64 (*look)(const uint8_t *, size_t)) {
    carry from = {0};
    size_t i = 0;
    for (; i + 64 <= count; i += 64) {
        kinds64 k = look(line + i, 64);
        *out++ = taken(&k, &from);
    }
    const size_t left = count - i;
    kinds64 k = {0};
    if (left > 0) {
        if (i + 64 <= readable) {
            k = look(line + i, left);
        } else {
            uint8_t room[64] = {0};
            memcpy(room, line + i, left);
            k = look(room, left);
        }
        const uint64_t there = ((uint64_t)1 << left) - 1;
        k.digits &= there;
        k.alnum &= there;
        k.letters &= there;
        k.ends &= there;
        k.quotes &= there;
        k.escapes &= there;
        k.equals &= there;
        k.colons &= there;
        k.blanks &= there;
    }
    *out = taken(&k, &from);
}

/// The first bit of a kind at or after `at`, which is at most `count`; `count` when there is none.
#define NEXT(name, kind)                                                             \
    static inline size_t name(const chunk *c, size_t count, size_t at) {             \
        size_t k = at >> 6;                                                          \
        uint64_t left = c[k].kind & (~(uint64_t)0 << (at & 63));                     \
        while (!left) {                                                              \
            if (k++ == count >> 6) return count;                                     \
            left = c[k].kind;                                                        \
        }                                                                            \
        return (k << 6) + (size_t)__builtin_ctzll(left);                             \
    }
NEXT(next_end, ends)
NEXT(next_escape, escapes)
NEXT(next_digit, digits)

/// Where a value begins whose last byte is the one before `stop`.
static inline size_t value_start(const chunk *c, size_t stop) {
    size_t k = stop >> 6;
    uint64_t before = ~c[k].filled & (((uint64_t)1 << (stop & 63)) - 1);
    while (!before) {
        if (k == 0) return 0;
        before = ~c[--k].filled;
    }
    return (k << 6) + 64 - (size_t)__builtin_clzll(before);
}

/// Marks the bytes from `from` up to `to` as a value.
static inline void fill(chunk *c, size_t from, size_t to) {
    size_t k = from >> 6;
    uint64_t bits = ~(uint64_t)0 << (from & 63);
    for (; k < to >> 6; k++) {
        c[k].filled |= bits;
        bits = ~(uint64_t)0;
    }
    c[k].filled |= bits & (((uint64_t)1 << (to & 63)) - 1);
    c[k].stops |= (uint64_t)1 << (to & 63);
}

/// Finds fields without a digit: what stands behind `=`, or between quotes.
static inline void find_fields(const uint8_t *line, size_t count, chunk *c) {
    size_t at = 0, copied = 0, closing = SIZE_MAX;
    for (size_t k = 0; k <= count >> 6; k++) {
        uint64_t left = c[k].fields;
        while (left) {
            const size_t mark = (k << 6) + (size_t)__builtin_ctzll(left);
            left &= left - 1;
            if (mark < at) continue;
            const bool quoted = line[mark] == '"';
            bool is_mixed = false;
            size_t end;
            at = mark + 1;
            if (quoted) {
                if (mark == closing) continue;
                // The sign before the quote must be the template's own.
                const size_t before = line[mark - 1] == ' ' && mark > 1 ? mark - 2 : mark - 1;
                if (before < copied) continue;
                end = next_escape(c, count, at);
                while (end < count && line[end] == '\\') {
                    is_mixed = true;
                    end = end + 2 < count ? next_escape(c, count, end + 2) : count;
                }
            } else {
                if (at < count && line[at] == '"') continue;
                end = next_end(c, count, at);
            }
            closing = end;
            // Of a field with digits what has them is a value.
            if (end == at || is_mixed || next_digit(c, count, at) < end) continue;
            fill(c, at, end);
            at = copied = end;
        }
    }
}

/// Of a run with letters beyond f only the digits, when these are one group at one end.
static inline void narrow(const chunk *c, size_t count, size_t *from, size_t *to) {
    const size_t start = *from, stop = *to;
    const size_t first = next_digit(c, count, start);
    size_t k = first >> 6;
    uint64_t others = ~c[k].digits & (~(uint64_t)0 << (first & 63));
    while (!others) others = ~c[++k].digits;
    const size_t end = (k << 6) + (size_t)__builtin_ctzll(others);
    if ((first != start && end != stop) || next_digit(c, count, end) < stop) return;
    *from = first;
    *to = end;
}

/// Copies; both sides may be touched up to 15 bytes further where `wide`.
static inline void copy_piece(uint8_t *to, const uint8_t *from, size_t n, bool wide) {
    if (!wide) {
        memcpy(to, from, n);
        return;
    }
    for (size_t i = 0; i < n; i += 16) memcpy(to + i, from + i, 16);
}

static inline __attribute__((always_inline)) long take_values(
    const uint8_t *line, size_t count, bool wide, uint32_t base, chunk *c, uint8_t *text,
    size_t *text_count, tern_slice *values, size_t most) {
    find_fields(line, count, c);
    size_t copied = 0, written = 0, n = 0;
    for (size_t k = 0; k <= count >> 6; k++) {
        uint64_t left = c[k].stops;
        const uint64_t mixed = c[k].mixed;
        while (left) {
            size_t to = (k << 6) + (size_t)__builtin_ctzll(left);
            size_t from = value_start(c, to);
            if (mixed & left & -left) narrow(c, count, &from, &to);
            left &= left - 1;
            if (n == most) return -1;
            copy_piece(text + written, line + copied, from - copied, wide);
            written += from - copied;
            text[written++] = 0;
            values[n].offset = base + (uint32_t)from;
            values[n].count = (uint32_t)(to - from);
            n++;
            copied = to;
        }
    }
    copy_piece(text + written, line + copied, count - copied, wide);
    *text_count = written + (count - copied);
    return (long)n;
}

#if defined(__x86_64__)
AVX2 static inline kinds64 look_all_avx2(const uint8_t *p, size_t n) {
    (void)n;
    return look_avx2(p);
}

AVX2 static long take_values_avx2(const uint8_t *line, size_t count, size_t readable,
                                  uint32_t base, chunk *c, uint8_t *text, size_t *text_count,
                                  tern_slice *values, size_t most) {
    take_apart(line, count, readable, c, look_all_avx2);
    return take_values(line, count, readable >= count + 16, base, c, text, text_count, values,
                       most);
}

AVX512 static long take_values_avx512(const uint8_t *line, size_t count, size_t readable,
                                      uint32_t base, chunk *c, uint8_t *text,
                                      size_t *text_count, tern_slice *values, size_t most) {
    take_apart(line, count, count + 64, c, look_avx512);
    return take_values(line, count, readable >= count + 16, base, c, text, text_count, values,
                       most);
}
#endif

long tern_take_values(const uint8_t *line, size_t count, size_t readable, uint32_t base,
                      uint64_t *chunks, uint8_t *text, size_t *text_count, tern_slice *values,
                      size_t most) {
    chunk *c = (chunk *)chunks;
#if defined(__x86_64__)
    if (has_avx512())
        return take_values_avx512(line, count, readable, base, c, text, text_count, values, most);
    if (has_avx2())
        return take_values_avx2(line, count, readable, base, c, text, text_count, values, most);
#endif
    take_apart(line, count, readable, c, look_plain);
    return take_values(line, count, readable >= count + 16, base, c, text, text_count, values,
                       most);
}

// MARK: runs of hexadecimal digits

static inline bool is_hex(uint8_t byte) { return kinds[byte] >= HEX; }

static size_t hex_run_plain(const uint8_t *line, size_t count, size_t from) {
    size_t run = 0;
    for (size_t i = from; i < count; i++) {
        run = is_hex(line[i]) ? run + 1 : 0;
        if (run == TERN_HEX_RUN) return i + 1 - run;
    }
    return count;
}

#if defined(__x86_64__)
AVX2 static inline uint32_t hex_half(__m256i v) {
    __m256i digit = _mm256_sub_epi8(v, _mm256_set1_epi8('0'));
    __m256i letter = _mm256_sub_epi8(_mm256_or_si256(v, _mm256_set1_epi8(0x20)),
                                     _mm256_set1_epi8('a'));
    return (uint32_t)_mm256_movemask_epi8(_mm256_or_si256(
        _mm256_cmpeq_epi8(_mm256_min_epu8(digit, _mm256_set1_epi8(9)), digit),
        _mm256_cmpeq_epi8(_mm256_min_epu8(letter, _mm256_set1_epi8(5)), letter)));
}

AVX2 static size_t hex_run_avx2(const uint8_t *line, size_t count, size_t from) {
    // Of 64 bytes the first 53 begin twelve that all can be seen.
    size_t i = from;
    for (; i + 64 <= count; i += 65 - TERN_HEX_RUN) {
        const uint64_t hex =
            (uint64_t)hex_half(_mm256_loadu_si256((const __m256i *)(line + i)))
            | (uint64_t)hex_half(_mm256_loadu_si256((const __m256i *)(line + i + 32))) << 32;
        const uint64_t two = hex & hex >> 1, four = two & two >> 2;
        const uint64_t twelve = four & four >> 4 & four >> 8;
        if (twelve) return i + (size_t)__builtin_ctzll(twelve);
    }
    return hex_run_plain(line, count, i);
}
#endif

size_t tern_find_hex_run(const uint8_t *line, size_t count, size_t from) {
#if defined(__x86_64__)
    if (has_avx2()) return hex_run_avx2(line, count, from);
#endif
    return hex_run_plain(line, count, from);
}
