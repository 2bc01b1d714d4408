// SPDX-License-Identifier: Apache-2.0
// Snappy block format (not framed), as remote write and Loki's push use it.
#include "cshims.h"

#include <snappy.h>

size_t tern_snappy_bound(size_t count) { return snappy::MaxCompressedLength(count); }

long tern_snappy_compress(uint8_t *out, const uint8_t *in, size_t count) {
    size_t n = 0;
    snappy::RawCompress(reinterpret_cast<const char *>(in), count, reinterpret_cast<char *>(out),
                        &n);
    return static_cast<long>(n);
}

long tern_snappy_declared_size(const uint8_t *in, size_t count) {
    size_t n = 0;
    if (!snappy::GetUncompressedLength(reinterpret_cast<const char *>(in), count, &n)) return -1;
    return static_cast<long>(n);
}

bool tern_snappy_decompress(uint8_t *out, const uint8_t *in, size_t count) {
    return snappy::RawUncompress(reinterpret_cast<const char *>(in), count,
                                 reinterpret_cast<char *>(out));
}
