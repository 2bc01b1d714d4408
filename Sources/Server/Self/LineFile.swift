// SPDX-License-Identifier: Apache-2.0
// A file that grows by lines.

import Base
import Synchronization

/// Appends lines to a file of somebody else's choice.
///
/// Written to the page cache, unsynced. Errors are counted, and the first of a row of them is
/// reported. A file that was moved away or cut, as `logrotate` does, is noticed within a second and
/// begun again.
final class LineFile: Sendable {
    private struct State {
        var file: (any WritableFile)?
        var offset = 0
        var lookedAtNanos: Int64 = 0
        var failures = 0
        var isFailing = false
    }
    private static let lookNanos: Int64 = 1_000_000_000

    private let path: String
    private let files: any FileSystem
    private let clock: any Clock
    private let report: @Sendable (FileError) -> Void
    /// Lines follow each other in the file, so they are written one at a time.
    private let state = Mutex(State())

    init(
        _ path: String, files: any FileSystem = LocalFileSystem(), clock: any Clock,
        report: @escaping @Sendable (FileError) -> Void
    ) {
        self.path = path
        self.files = files
        self.clock = clock
        self.report = report
        state.withLock { open(&$0) }
    }

    /// Errors so far.
    var failures: Int { state.withLock { $0.failures } }

    /// Appends a line, which ends with a newline. Blocks for a write into the page cache.
    func append(_ line: [UInt8]) {
        let now = clock.monotonicNanos
        state.withLock { state in
            if state.file == nil || now - state.lookedAtNanos >= Self.lookNanos {
                look(&state, now)
            }
            guard let file = state.file else { return }
            do throws(FileError) {
                try file.write([line], at: state.offset)
                state.offset += line.count
                state.isFailing = false
            } catch { fail(&state, error) }
        }
    }

    /// Opens the file again when it is not the one that was written.
    private func look(_ state: inout State, _ now: Int64) {
        state.lookedAtNanos = now
        do throws(FileError) {
            if state.file != nil, try files.size(path) == state.offset { return }
        } catch { fail(&state, error) }
        open(&state)
    }

    private func open(_ state: inout State) {
        state.file?.close()
        state.file = nil
        do throws(FileError) {
            if let size = try files.size(path) {
                state.file = try files.open(path)
                state.offset = size
            } else {
                state.file = try files.create(path)
                state.offset = 0
            }
        } catch { fail(&state, error) }
    }

    private func fail(_ state: inout State, _ error: FileError) {
        state.failures += 1
        if !state.isFailing { report(error) }
        state.isFailing = true
        state.file?.close()
        state.file = nil
    }
}
