// SPDX-License-Identifier: Apache-2.0
// The only door to C and C++ libraries. Names are ours; no foreign header reaches Swift.
#ifndef TERN_CSHIMS_H
#define TERN_CSHIMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma clang assume_nonnull begin

// MARK: checksums and hashing

/// CRC32C (Castagnoli). `crc` is 0 or an earlier result, so that pieces chain.
uint32_t tern_crc32c(uint32_t crc, const void *bytes, size_t count);

/// Asks for two lines of memory that are about to be written to. Any address will do.
static inline void tern_prefetch2(const void *first, const void *second) {
    __builtin_prefetch(first, 1);
    __builtin_prefetch(second, 1);
}

static inline uint64_t tern_load64(const uint8_t *p) {
    uint64_t v;
    memcpy(&v, p, 8);
    return v;
}
static inline uint64_t tern_load32(const uint8_t *p) {
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}
static inline uint64_t tern_mix(uint64_t a, uint64_t b) {
    __uint128_t product = (__uint128_t)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}
/// 64-bit multiply-fold hash of `count` bytes. Stable: it is used in on-disk structures.
static inline uint64_t tern_hash64(const uint8_t *_Nullable p, size_t count, uint64_t seed) {
    const uint64_t k0 = 0x9e3779b97f4a7c15ull, k1 = 0xbf58476d1ce4e5b9ull;
    const uint64_t k2 = 0x94d049bb133111ebull;
    uint64_t h = seed ^ tern_mix(seed ^ k0, k1 ^ (uint64_t)count);
    size_t n = count;
    while (n > 16) {
        h = tern_mix(tern_load64(p) ^ k1, tern_load64(p + 8) ^ h);
        p += 16;
        n -= 16;
    }
    uint64_t a = 0, b = 0;
    if (n >= 8) {
        a = tern_load64(p);
        b = tern_load64(p + n - 8);
    } else if (n >= 4) {
        a = tern_load32(p);
        b = tern_load32(p + n - 4);
    } else if (n > 0) {
        a = ((uint64_t)p[0] << 16) | ((uint64_t)p[n >> 1] << 8) | p[n - 1];
    }
    return tern_mix(k2 ^ (uint64_t)count, tern_mix(a ^ k1, b ^ h ^ k0));
}

// MARK: compression; every function returns the bytes written, or a negative code

enum { TERN_MALFORMED = -1, TERN_NO_SPACE = -2 };

size_t tern_zstd_bound(size_t count);
long tern_zstd_compress(uint8_t *out, size_t capacity, const uint8_t *_Nullable in, size_t count,
                        int level);
/// Content size in the first frame header; -1 malformed, -2 not stated.
long tern_zstd_declared_size(const uint8_t *in, size_t count);
long tern_zstd_decompress(uint8_t *out, size_t capacity, const uint8_t *in, size_t count);

size_t tern_snappy_bound(size_t count);
long tern_snappy_compress(uint8_t *out, const uint8_t *in, size_t count);
long tern_snappy_declared_size(const uint8_t *in, size_t count);
bool tern_snappy_decompress(uint8_t *out, const uint8_t *in, size_t count);

/// gzip (all members), zlib or raw deflate, told apart by the first bytes when `kind` is
/// TERN_DEFLATE; TERN_GZIP demands a gzip header.
enum { TERN_GZIP = 0, TERN_DEFLATE = 1 };
long tern_inflate(uint8_t *out, size_t capacity, const uint8_t *in, size_t count, int kind);
size_t tern_gzip_bound(size_t count);
long tern_gzip_compress(uint8_t *out, size_t capacity, const uint8_t *in, size_t count, int level);
/// zlib's format; what fits gzip fits it.
long tern_zlib_compress(uint8_t *out, size_t capacity, const uint8_t *in, size_t count, int level);

/// gzip or zlib (TERN_DEFLATE) piece by piece; null when there is no memory.
typedef struct tern_packer tern_packer;
tern_packer *_Nullable tern_packer_new(int kind, int level);
void tern_packer_free(tern_packer *packer);
/// Takes up to `count` bytes, says how many in `used`, and returns how many it wrote. Less than
/// `capacity` means that it wants more input, or with `finish` that the end is written. At most
/// 2^31 bytes at a time.
long tern_packer_write(tern_packer *packer, uint8_t *out, size_t capacity,
                       const uint8_t *_Nullable in, size_t count, bool finish, size_t *used);

// MARK: search

/// Offset of the first occurrence of the needle, or -1. An empty needle is found at 0.
long tern_find(const uint8_t *_Nullable hay, size_t count, const uint8_t *_Nullable needle,
               size_t needle_count);
/// Offset of the first byte equal to `a` or `b`, or `count`.
size_t tern_find_either(const uint8_t *_Nullable hay, size_t count, uint8_t a, uint8_t b);

/// Offset at or after `from` where the name of a level may begin: `tra`, `deb`, `fat`, `cri`, `err`,
/// `war` or `inf` in any case; `count` when nowhere.
size_t tern_find_level(const uint8_t *line, size_t count, size_t from);
/// Offset at or after `from` of a word of lower-case letters that stands there in lower case or,
/// whole, in upper case; `count` when nowhere.
size_t tern_find_word(const uint8_t *line, size_t count, const uint8_t *lower, size_t word_count,
                      size_t from);

/// A piece of bytes: offset and count.
typedef struct {
    uint32_t offset, count;
} tern_slice;
/// Takes the values out of a line: what stands behind `=` or in quotes behind `:` or `=` and has no
/// digit and no backslash, and runs of ASCII letters and digits that have a digit, of those with letters beyond f only
/// the digits when these are one group at one end. Writes to `text` the line with a zero byte for
/// each value, to `values` where they lie, `base` added.
///
/// `readable`: bytes from `line` on that may be read. `chunks` has room for (count / 64 + 1) ×
/// TERN_CHUNK_SIZE bytes, `text` for count + most + 16. Returns the number of values; -1 when there
/// are more than `most`.
long tern_take_values(const uint8_t *line, size_t count, size_t readable, uint32_t base,
                      uint64_t *chunks, uint8_t *text, size_t *text_count, tern_slice *values,
                      size_t most);
enum { TERN_CHUNK_SIZE = 56, TERN_HEX_RUN = 12 };
/// Offset at or after `from` of TERN_HEX_RUN hexadecimal digits of either case in a row, the first of
/// their run unless `from` stands inside it; `count` when nowhere.
size_t tern_find_hex_run(const uint8_t *line, size_t count, size_t from);
/// Whether a byte ends the value of a field that has no quotes.
bool tern_ends_field(uint8_t byte);

// MARK: regular expressions (RE2)

typedef struct tern_regex tern_regex;
enum { TERN_RE_DOT_NEWLINE = 1, TERN_RE_LATIN1 = 2, TERN_RE_CASELESS = 4 };
/// Compiles `pattern`; on failure returns null and writes a message into `error`.
tern_regex *_Nullable tern_regex_new(const char *pattern, size_t count, int flags, char *error,
                                     size_t error_capacity);
void tern_regex_free(tern_regex *regex);
/// Whether the whole text matches.
bool tern_regex_full(const tern_regex *regex, const uint8_t *_Nullable text, size_t count);
/// Whether the pattern is found anywhere.
bool tern_regex_partial(const tern_regex *regex, const uint8_t *_Nullable text, size_t count);
/// Finds the next match at or after `start`. `spans` gets 2 × `groups` offsets (-1, -1 where a
/// group took no part); group 0 is the whole match. `anchored` demands that all of text matches.
bool tern_regex_captures(const tern_regex *regex, const uint8_t *_Nullable text, size_t count,
                         size_t start, bool anchored, int groups, long *spans);
/// Number of capture groups, without group 0.
int tern_regex_group_count(const tern_regex *regex);
/// Index of the named group, or -1.
int tern_regex_group_index(const tern_regex *regex, const char *name);
/// Name of group `index` (1-based) or an empty string; returns its byte count.
size_t tern_regex_group_name(const tern_regex *regex, int index, char *out, size_t capacity);

// MARK: system calls that Swift cannot reach

/// Most heaps that the allocator opens for threads.
void tern_limit_arenas(int count, int kept_bytes);
/// Gives free pages of all heaps back to the system.
void tern_release_free_pages(void);
/// Names the calling thread for `ps -L` and debuggers; at most 15 bytes.
void tern_name_thread(const char *name);

#pragma clang assume_nonnull end
#ifdef __cplusplus
}
#endif
#endif
