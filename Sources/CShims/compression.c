// SPDX-License-Identifier: Apache-2.0
// zstd and deflate. Contexts are per thread: making one costs more than a small block.
#include "cshims.h"

#include <libdeflate.h>
#include <zstd.h>

static _Thread_local ZSTD_CCtx *compressor;
static _Thread_local ZSTD_DCtx *decompressor;

size_t tern_zstd_bound(size_t count) { return ZSTD_compressBound(count); }

long tern_zstd_compress(uint8_t *out, size_t capacity, const uint8_t *in, size_t count,
                        int level) {
    if (!compressor) compressor = ZSTD_createCCtx();
    if (!compressor) return TERN_NO_SPACE;
    size_t n = ZSTD_compressCCtx(compressor, out, capacity, in, count, level);
    return ZSTD_isError(n) ? TERN_NO_SPACE : (long)n;
}

long tern_zstd_declared_size(const uint8_t *in, size_t count) {
    unsigned long long n = ZSTD_getFrameContentSize(in, count);
    if (n == ZSTD_CONTENTSIZE_ERROR) return -1;
    if (n == ZSTD_CONTENTSIZE_UNKNOWN) return -2;
    return n > (unsigned long long)INT64_MAX ? INT64_MAX : (long)n;
}

long tern_zstd_decompress(uint8_t *out, size_t capacity, const uint8_t *in, size_t count) {
    if (!decompressor) decompressor = ZSTD_createDCtx();
    if (!decompressor) return TERN_NO_SPACE;
    size_t n = ZSTD_decompressDCtx(decompressor, out, capacity, in, count);
    if (!ZSTD_isError(n)) return (long)n;
    // 70 is ZSTD_error_dstSize_tooSmall, stable across versions.
    return (0 - (int)n) == 70 ? TERN_NO_SPACE : TERN_MALFORMED;
}

static _Thread_local struct libdeflate_decompressor *inflater;

long tern_inflate(uint8_t *out, size_t capacity, const uint8_t *in, size_t count, int kind) {
    if (!inflater) inflater = libdeflate_alloc_decompressor();
    if (!inflater) return TERN_NO_SPACE;
    size_t used = 0, made = 0, total = 0;
    enum libdeflate_result result;
    if (kind == TERN_GZIP) {
        while (used < count) {
            size_t consumed = 0, produced = 0;
            result = libdeflate_gzip_decompress_ex(inflater, in + used, count - used, out + total,
                                                   capacity - total, &consumed, &produced);
            if (result == LIBDEFLATE_INSUFFICIENT_SPACE) return TERN_NO_SPACE;
            if (result != LIBDEFLATE_SUCCESS || consumed == 0) return TERN_MALFORMED;
            used += consumed;
            total += produced;
        }
        return count == 0 ? TERN_MALFORMED : (long)total;
    }
    result = libdeflate_zlib_decompress(inflater, in, count, out, capacity, &made);
    if (result == LIBDEFLATE_BAD_DATA)
        result = libdeflate_deflate_decompress(inflater, in, count, out, capacity, &made);
    if (result == LIBDEFLATE_INSUFFICIENT_SPACE) return TERN_NO_SPACE;
    return result == LIBDEFLATE_SUCCESS ? (long)made : TERN_MALFORMED;
}

size_t tern_gzip_bound(size_t count) { return libdeflate_gzip_compress_bound(NULL, count); }

long tern_gzip_compress(uint8_t *out, size_t capacity, const uint8_t *in, size_t count,
                        int level) {
    struct libdeflate_compressor *c = libdeflate_alloc_compressor(level);
    if (!c) return TERN_NO_SPACE;
    size_t n = libdeflate_gzip_compress(c, in, count, out, capacity);
    libdeflate_free_compressor(c);
    return n == 0 ? TERN_NO_SPACE : (long)n;
}

long tern_zlib_compress(uint8_t *out, size_t capacity, const uint8_t *in, size_t count,
                        int level) {
    struct libdeflate_compressor *c = libdeflate_alloc_compressor(level);
    if (!c) return TERN_NO_SPACE;
    size_t n = libdeflate_zlib_compress(c, in, count, out, capacity);
    libdeflate_free_compressor(c);
    return n == 0 ? TERN_NO_SPACE : (long)n;
}
