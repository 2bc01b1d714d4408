// SPDX-License-Identifier: Apache-2.0
// gzip and zlib piece by piece, for bodies that are made while they are sent.
#include "cshims.h"

#include <stdlib.h>
#include <zlib.h>

struct tern_packer {
    z_stream stream;
};

tern_packer *tern_packer_new(int kind, int level) {
    tern_packer *packer = calloc(1, sizeof *packer);
    if (!packer) return NULL;
    // 16 asks for gzip's header and checksum instead of zlib's.
    int window = kind == TERN_GZIP ? 15 + 16 : 15;
    if (deflateInit2(&packer->stream, level, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        free(packer);
        return NULL;
    }
    return packer;
}

void tern_packer_free(tern_packer *packer) {
    deflateEnd(&packer->stream);
    free(packer);
}

long tern_packer_write(tern_packer *packer, uint8_t *out, size_t capacity, const uint8_t *in,
                       size_t count, bool finish, size_t *used) {
    z_stream *stream = &packer->stream;
    stream->next_in = (Bytef *)in;
    stream->avail_in = (uInt)count;
    stream->next_out = out;
    stream->avail_out = (uInt)capacity;
    int result = deflate(stream, finish ? Z_FINISH : Z_NO_FLUSH);
    *used = count - stream->avail_in;
    if (result == Z_STREAM_ERROR) return TERN_MALFORMED;
    return (long)(capacity - stream->avail_out);
}
