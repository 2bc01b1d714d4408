// SPDX-License-Identifier: Apache-2.0
// Memory of heads in large pieces.

import Glibc
import Synchronization

/// Hands out memory of one head in regions of 2 MiB, for which the kernel is asked to use huge pages:
/// lines fill a head faster than pages of 4 KiB come one fault at a time. On a virtual machine that
/// made no clear difference. A region goes back to the system when the last piece of it is let go; pieces of a
/// head go together, when it is sealed.
final class HeadMemory: Sendable {
    /// Pieces below this are the allocator's: streams of few lines are many.
    static let smallest = 16 << 10

    private struct Current {
        var region: HeadRegion?
        var used = 0
    }
    private let current = Mutex(Current())

    /// Memory of at least `byteCount` bytes, aligned to 16 and not cleared.
    func allocate(_ byteCount: Int) -> HeadPiece {
        guard byteCount >= HeadMemory.smallest, byteCount <= HeadRegion.byteCount / 4 else {
            return HeadPiece(allocating: byteCount)
        }
        let size = (byteCount + 63) & ~63
        let place = current.withLock { current -> (region: HeadRegion, offset: Int)? in
            if current.region == nil || current.used + size > HeadRegion.byteCount {
                current = Current(region: HeadRegion())
            }
            guard let region = current.region else { return nil }
            defer { current.used += size }
            return (region, current.used)
        }
        guard let place else { return HeadPiece(allocating: byteCount) }
        return HeadPiece(place.region, at: place.offset)
    }
}

/// A region of a head's memory.
// The mapping is made in `init` and taken down in `deinit`; its pieces do not overlap.
final class HeadRegion: @unchecked Sendable {
    /// A huge page of x86-64, and of arm64 with pages of 4 KiB.
    static let byteCount = 2 << 20
    let base: UnsafeMutableRawPointer

    /// Nil when the system has no memory.
    init?() {
        // Twice the size, of which an aligned half stays.
        let size = HeadRegion.byteCount
        let flags = MAP_PRIVATE | MAP_ANONYMOUS
        guard let mapped = mmap(nil, 2 * size, PROT_READ | PROT_WRITE, flags, -1, 0),
            mapped != MAP_FAILED
        else { return nil }
        let before = (size - Int(bitPattern: mapped) & (size - 1)) & (size - 1)
        base = mapped + before
        if before > 0 { munmap(mapped, before) }
        munmap(base + size, size - before)
        // A kernel without huge pages gives others.
        madvise(base, size, MADV_HUGEPAGE)
    }

    deinit { munmap(base, HeadRegion.byteCount) }
}

/// Memory that its owner frees with `deallocate`, once.
struct HeadPiece {
    let base: UnsafeMutableRawPointer
    /// Nil for memory of the allocator's.
    private let region: HeadRegion?

    init(_ region: HeadRegion, at offset: Int) {
        self.region = region
        base = region.base + offset
    }

    init(allocating byteCount: Int) {
        region = nil
        base = .allocate(byteCount: byteCount, alignment: 16)
    }

    /// Memory of a region is free with the last piece that refers to it.
    func deallocate() { if region == nil { base.deallocate() } }
}
