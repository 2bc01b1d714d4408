// SPDX-License-Identifier: Apache-2.0
// Process-wide switches of the C library.
#include "cshims.h"

#include <malloc.h>
#include <sys/prctl.h>

void tern_limit_arenas(int count, int kept_bytes) {
    mallopt(M_ARENA_MAX, count);
    mallopt(M_MMAP_THRESHOLD, kept_bytes);
    mallopt(M_TRIM_THRESHOLD, kept_bytes);
}

void tern_release_free_pages(void) {
    malloc_trim(0);
}

void tern_name_thread(const char *name) {
    prctl(PR_SET_NAME, name, 0, 0, 0);
}
