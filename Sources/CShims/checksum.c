// SPDX-License-Identifier: Apache-2.0
// CRC32C in hardware where the processor has it, by table elsewhere.
#include "cshims.h"

static uint32_t table[8][256];
static void make_lanes(void);

__attribute__((constructor)) static void make_table(void) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++) c = (c & 1) ? (c >> 1) ^ 0x82f63b78u : c >> 1;
        table[0][i] = c;
    }
    for (uint32_t i = 0; i < 256; i++)
        for (int k = 1; k < 8; k++)
            table[k][i] = (table[k - 1][i] >> 8) ^ table[0][table[k - 1][i] & 0xff];
    make_lanes();
}

static uint32_t portable(uint32_t c, const uint8_t *p, size_t n) {
    for (; n >= 8; n -= 8, p += 8) {
        uint64_t v = tern_load64(p) ^ c;
        c = table[7][v & 0xff] ^ table[6][(v >> 8) & 0xff] ^ table[5][(v >> 16) & 0xff] ^
            table[4][(v >> 24) & 0xff] ^ table[3][(v >> 32) & 0xff] ^ table[2][(v >> 40) & 0xff] ^
            table[1][(v >> 48) & 0xff] ^ table[0][v >> 56];
    }
    for (; n > 0; n--, p++) c = (c >> 8) ^ table[0][(c ^ *p) & 0xff];
    return c;
}

// The instruction gives one result a cycle but each takes three: three stretches of LANE bytes are
// summed side by side. `behind` is what LANE zero bytes make of a sum, by its bytes.
enum { LANE = 1024 };
static uint32_t behind[4][256];

static void make_lanes(void) {
    static const uint8_t zeros[LANE];
    uint32_t bits[32];
    for (int i = 0; i < 32; i++) bits[i] = portable((uint32_t)1 << i, zeros, LANE);
    // The sum is linear: that of a byte is made of those of its bits.
    for (int k = 0; k < 4; k++)
        for (uint32_t byte = 0; byte < 256; byte++)
            for (int i = 0; i < 8; i++)
                if (byte >> i & 1) behind[k][byte] ^= bits[8 * k + i];
}

#if defined(__x86_64__)
static inline uint32_t after_lane(uint32_t c) {
    return behind[0][c & 0xff] ^ behind[1][(c >> 8) & 0xff] ^ behind[2][(c >> 16) & 0xff] ^
           behind[3][c >> 24];
}

__attribute__((target("sse4.2"))) static uint32_t hardware(uint32_t c, const uint8_t *p,
                                                           size_t n) {
    for (; n >= 3 * LANE; n -= 3 * LANE, p += 3 * LANE) {
        uint64_t first = c, second = 0, third = 0;
        for (size_t i = 0; i < LANE; i += 8) {
            first = __builtin_ia32_crc32di(first, tern_load64(p + i));
            second = __builtin_ia32_crc32di(second, tern_load64(p + LANE + i));
            third = __builtin_ia32_crc32di(third, tern_load64(p + 2 * LANE + i));
        }
        c = after_lane(after_lane((uint32_t)first) ^ (uint32_t)second) ^ (uint32_t)third;
    }
    uint64_t v = c;
    for (; n >= 8; n -= 8, p += 8) v = __builtin_ia32_crc32di(v, tern_load64(p));
    c = (uint32_t)v;
    for (; n > 0; n--, p++) c = __builtin_ia32_crc32qi(c, *p);
    return c;
}
#endif

uint32_t tern_crc32c(uint32_t crc, const void *bytes, size_t count) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2")) return ~hardware(~crc, bytes, count);
#endif
    return ~portable(~crc, bytes, count);
}
