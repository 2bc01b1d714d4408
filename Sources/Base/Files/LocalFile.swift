// SPDX-License-Identifier: Apache-2.0
// An open file of the machine.

import Glibc
import Synchronization

/// Owns a file descriptor.
final class LocalFile: WritableFile {
    let path: String
    /// -1 once closed.
    private let descriptor: Atomic<Int32>

    init(path: String, descriptor: Int32) {
        self.path = path
        self.descriptor = Atomic(descriptor)
    }

    deinit { close() }

    func close() {
        let open = descriptor.exchange(-1, ordering: .acquiringAndReleasing)
        if open >= 0 { Glibc.close(open) }
    }

    func write(_ pieces: [[UInt8]], at offset: Int) throws(FileError) {
        let descriptor = descriptor.load(ordering: .acquiring)
        let code = GatheredWrite.writeAll(pieces, at: offset) { vectors, count, position in
            pwritev(descriptor, vectors, count, position)
        }
        guard code == 0 else { throw FileError(.write, path, code: code) }
    }

    func sync() throws(FileError) {
        // Never retried: after a failure the kernel may have dropped the dirty pages, and the
        // next call would report success for bytes that are gone.
        guard fdatasync(descriptor.load(ordering: .acquiring)) == 0 else {
            throw FileError(.sync, path, code: errno)
        }
    }

    func truncate(to byteCount: Int) throws(FileError) {
        guard ftruncate(descriptor.load(ordering: .acquiring), byteCount) == 0 else {
            throw FileError(.truncate, path, code: errno)
        }
    }
}

/// Owns the descriptor of a lock file; closing it releases the lock.
final class LocalFileLock: FileLock {
    private let descriptor: Atomic<Int32>
    init(descriptor: Int32) { self.descriptor = Atomic(descriptor) }
    deinit { unlock() }
    func unlock() {
        let open = descriptor.exchange(-1, ordering: .acquiringAndReleasing)
        if open >= 0 { close(open) }
    }
}

/// The loop around `pwritev`: many pieces, calls of at most 64 of them, short writes continued.
package enum GatheredWrite {
    /// Pieces per system call; the kernel's own limit is 1024.
    package static let maxPieces = 64

    /// Writes all pieces through `call`, which answers as `pwritev` does.
    ///
    /// - Returns: 0, or the error code of the call that failed.
    package static func writeAll(
        _ pieces: [[UInt8]], at offset: Int,
        _ call: (UnsafePointer<iovec>, Int32, Int) -> Int
    ) -> Int32 {
        var position = offset
        var next = 0
        // Bytes of `pieces[next]` that are written already.
        var done = 0
        while next < pieces.count {
            if pieces[next].count == done {
                next += 1
                done = 0
                continue
            }
            let window = pieces[next..<min(next + maxPieces, pieces.count)]
            let written = withVectors(window, skipping: done) { vectors in
                guard let base = vectors.baseAddress else { return 0 }
                return call(base, Int32(vectors.count), position)
            }
            if written < 0 {
                if errno == EINTR { continue }
                return errno
            }
            // Zero progress on a non-empty request would loop for ever.
            guard written > 0 else { return EIO }
            position += written
            var rest = written
            while rest > 0 && next < pieces.count {
                let step = min(rest, pieces[next].count - done)
                rest -= step
                done += step
                if done == pieces[next].count {
                    next += 1
                    done = 0
                }
            }
        }
        return 0
    }

    /// Nests one `withUnsafeBytes` per piece, so that every address is valid during the call.
    private static func withVectors(
        _ pieces: ArraySlice<[UInt8]>, skipping: Int,
        _ body: (UnsafeBufferPointer<iovec>) -> Int
    ) -> Int {
        var vectors: [iovec] = []
        vectors.reserveCapacity(pieces.count)
        func nest(_ rest: ArraySlice<[UInt8]>, _ skipping: Int) -> Int {
            guard let piece = rest.first else { return vectors.withUnsafeBufferPointer(body) }
            return piece.withUnsafeBytes { bytes in
                if let base = bytes.baseAddress, bytes.count > skipping {
                    vectors.append(
                        iovec(
                            iov_base: UnsafeMutableRawPointer(mutating: base + skipping),
                            iov_len: bytes.count - skipping))
                }
                return nest(rest.dropFirst(), 0)
            }
        }
        return nest(pieces, skipping)
    }
}
