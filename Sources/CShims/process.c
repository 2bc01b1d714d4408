// SPDX-License-Identifier: Apache-2.0
// Process-wide switches of the C library.
#include "cshims.h"

#include <malloc.h>
#include <sys/prctl.h>

void tern_tune_allocator(void) {
    // Bodies and columns of a few MiB come and go per request; below these thresholds glibc maps
    // and faults them in afresh each time.
    mallopt(M_MMAP_THRESHOLD, 64 << 20);
    mallopt(M_TRIM_THRESHOLD, 256 << 20);
    mallopt(M_ARENA_MAX, 4);
}

size_t tern_allocated_bytes(void) {
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

void tern_name_thread(const char *name) {
    prctl(PR_SET_NAME, name, 0, 0, 0);
}
