// SPDX-License-Identifier: Apache-2.0
// Nothing is left behind, also after an interrupt.

import FoundationEssentials
import Glibc
import Synchronization
import UnixSignals

/// Processes and directories that end with the laboratory.
final class Cleanup: Sendable {
    static let shared = Cleanup()

    private struct State {
        var pids: Set<Int32> = []
        var directories: Set<String> = []
    }
    private let state = Mutex(State())

    func add(pid: Int32) { state.withLock { _ = $0.pids.insert(pid) } }
    func remove(pid: Int32) { state.withLock { _ = $0.pids.remove(pid) } }

    /// A fresh directory below `parent` or the system's temporary one; removed at the end unless it
    /// is to be kept.
    func directory(below parent: String?, keep: Bool) throws -> String {
        let base = parent ?? FileManager.default.temporaryDirectory.path()
        let path = (base.hasSuffix("/") ? base : base + "/") + "tern-lab-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        if !keep { state.withLock { _ = $0.directories.insert(path) } }
        return path
    }

    /// Kills what still runs and removes the directories. A second caller waits for the first.
    func run() {
        state.withLock { state in
            for pid in state.pids {
                kill(pid, SIGKILL)
                waitpid(pid, nil, 0)
            }
            for directory in state.directories {
                do {
                    try FileManager.default.removeItem(atPath: directory)
                } catch { complain("cannot remove \(directory): \(error)") }
            }
            state = State()
        }
    }

    /// Runs `body` and cleans up afterwards, whether it returns, throws or is interrupted.
    func around(_ body: @escaping @Sendable () async throws -> Void) async throws {
        let watch = Task {
            for await signal in await UnixSignalsSequence(trapping: .sigint, .sigterm) {
                complain("interrupted: stopping what was started")
                run()
                exit(128 + signal.rawValue)
            }
        }
        defer {
            watch.cancel()
            run()
        }
        try await body()
    }
}

/// Writes a line to standard error.
func complain(_ text: String) {
    let line = Array((text + "\n").utf8)
    _ = write(2, line, line.count)
}

/// Writes a line to standard output at once, also into a pipe.
func say(_ text: String) {
    print(text)
    fflush(nil)
}
