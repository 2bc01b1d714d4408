// SPDX-License-Identifier: Apache-2.0
// What the C library's allocator keeps for itself.

import CShims

/// Switches of the process' allocator. Memory that was freed and is kept by it counts against the
/// process' budget like any other.
package enum Allocator {
    /// Bounds the number of separate heaps, for the whole process; call it before threads start.
    ///
    /// glibc gives each thread its own, up to eight per processor, and what one thread frees another
    /// cannot use. Sealing and decoding move hundreds of MiB between threads.
    ///
    /// - Parameter keptBytes: what each heap keeps at its end, and the size from which a piece has
    ///   pages of its own. glibc's 128 KiB would give the buffers of a request back to the system
    ///   after each request, and the next one would wait for every page of them to be cleared.
    package static func limitHeaps(_ count: Int, keptBytes: Int) {
        tern_limit_arenas(Int32(clamping: count), Int32(clamping: keptBytes))
    }

    /// Gives free pages back to the system. Costs a walk over the heaps, some milliseconds: for
    /// after work that freed much, not for every request.
    package static func releaseFreePages() { tern_release_free_pages() }
}
