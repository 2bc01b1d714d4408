// SPDX-License-Identifier: Apache-2.0
// Where the shell keeps what it remembers.

import FoundationEssentials
import Glibc

/// Files under `$XDG_STATE_HOME/tern`, `~/.local/state/tern` without it. The folder and its files are
/// readable by their owner only: queries have names of hosts and people in them.
/// Source: the XDG Base Directory Specification.
package enum StatePath {
    /// Path of a file by name; nil when there is no home.
    package static func file(_ name: String) -> String? {
        let base =
            Terminal.environment("XDG_STATE_HOME").flatMap { $0.hasPrefix("/") ? $0 : nil }
            ?? Terminal.environment("HOME").map { $0 + "/.local/state" }
        return base.map { $0 + "/tern/" + name }
    }

    /// Adds a line to a file, which is made when it is not there.
    ///
    /// - Throws: `ShellError` with the system's reason.
    static func append(_ line: String, to path: String) throws {
        try write(Array((line + "\n").utf8), to: path, flags: O_APPEND)
    }

    /// Puts a text in place of a file.
    ///
    /// - Throws: `ShellError` with the system's reason.
    static func replace(_ path: String, with text: String) throws {
        let temporary = path + ".new"
        try write(Array(text.utf8), to: temporary, flags: O_TRUNC)
        guard rename(temporary, path) == 0 else {
            throw ShellError("cannot write \(path): \(String(cString: strerror(errno)))")
        }
    }

    private static func write(_ bytes: [UInt8], to path: String, flags: Int32) throws {
        if let slash = path.lastIndex(of: "/") {
            let folder = String(path[..<slash])
            do {
                try FileManager.default.createDirectory(
                    atPath: folder, withIntermediateDirectories: true,
                    attributes: [.posixPermissions: 0o700])
            } catch {
                throw ShellError("cannot make the folder \(folder)")
            }
        }
        let descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0o600)
        guard descriptor >= 0 else {
            throw ShellError("cannot write \(path): \(String(cString: strerror(errno)))")
        }
        defer { close(descriptor) }
        var offset = 0
        while offset < bytes.count {
            let count = bytes[offset...].withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress, $0.count)
            }
            guard count > 0 else {
                throw ShellError("cannot write \(path): \(String(cString: strerror(errno)))")
            }
            offset += count
        }
    }
}
