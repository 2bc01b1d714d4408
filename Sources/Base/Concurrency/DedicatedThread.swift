// SPDX-License-Identifier: Apache-2.0
// One thread of one's own.

import CShims
import Glibc
import Synchronization

/// The machine gave no thread.
package struct ThreadError: Error, Sendable, Equatable, CustomStringConvertible {
    package var name: String
    /// `errno` of `pthread_create`.
    package var code: Int32
    package var description: String {
        "cannot start thread \(name): \(String(cString: strerror(code)))"
    }
}

/// A thread that runs one function and ends; for work that blocks.
package final class DedicatedThread: Sendable {
    private let handle: Mutex<pthread_t?>

    private final class Entry: Sendable {
        let name: String
        let body: @Sendable () -> Void
        init(name: String, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
        }
    }

    /// Starts the thread.
    ///
    /// - Parameter name: shown by `ps -L` and debuggers, cut to 15 bytes.
    package init(name: String, _ body: @escaping @Sendable () -> Void) throws(ThreadError) {
        let entry = Unmanaged.passRetained(Entry(name: name, body: body))
        var thread = pthread_t()
        let code = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                let entry = Unmanaged<Entry>.fromOpaque(argument).takeRetainedValue()
                tern_name_thread(String(decoding: entry.name.utf8.prefix(15), as: UTF8.self))
                entry.body()
                return nil
            }, entry.toOpaque())
        guard code == 0 else {
            entry.release()
            throw ThreadError(name: name, code: code)
        }
        handle = Mutex(thread)
    }

    /// Blocks until the function has returned. Later calls return at once.
    package func join() {
        let thread = handle.withLock { handle -> pthread_t? in
            defer { handle = nil }
            return handle
        }
        if let thread { pthread_join(thread, nil) }
    }

    deinit {
        handle.withLock { handle in
            if let thread = handle { pthread_detach(thread) }
            handle = nil
        }
    }
}
