// SPDX-License-Identifier: Apache-2.0
// The user's own editor, and files.

import Glibc

/// `$VISUAL`, `$EDITOR` or `vi` on a text.
enum EditorProcess {
    /// Bytes that are read back.
    private static let most = 1 << 20

    /// Runs the editor on a file of the user's own and returns what it holds afterwards.
    ///
    /// - Throws: `ShellError` when the editor can't be run or ends with an error.
    static func edit(_ text: String) throws -> String {
        let folder = Terminal.environment("TMPDIR") ?? "/tmp"
        var template = Array((folder + "/tern-query-XXXXXX.txt").utf8CString)
        let descriptor = mkstemps(&template, 4)
        guard descriptor >= 0 else {
            throw ShellError("no temporary file: \(String(cString: strerror(errno)))")
        }
        let path = template.withUnsafeBufferPointer { buffer in
            buffer.baseAddress.map { String(cString: $0) } ?? ""
        }
        defer { unlink(path) }
        let bytes = Array((text + "\n").utf8)
        let written = bytes.withUnsafeBytes { Terminal.write($0, to: descriptor) }
        close(descriptor)
        guard written else { throw ShellError("cannot write \(path)") }
        let editor =
            Terminal.environment("VISUAL") ?? Terminal.environment("EDITOR") ?? "vi"
        // The variable may hold arguments, so a shell reads it; the path is an argument of its own.
        let status = try spawn(["/bin/sh", "-c", editor + " \"$1\"", "sh", path])
        guard status == 0 else { throw ShellError("\(editor) ended with \(status)") }
        return try String(readFile(path).prefix(most))
    }

    private static func spawn(_ arguments: [String]) throws -> Int32 {
        var pointers: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
        pointers.append(nil)
        defer { for pointer in pointers { free(pointer) } }
        var child: pid_t = 0
        let error = posix_spawn(&child, arguments[0], nil, nil, pointers, environ)
        guard error == 0 else {
            throw ShellError("cannot run \(arguments[0]): \(String(cString: strerror(error)))")
        }
        var status: Int32 = 0
        while waitpid(child, &status, 0) < 0 {
            guard errno == EINTR else {
                throw ShellError("lost the editor: \(String(cString: strerror(errno)))")
            }
        }
        return status == 0 ? 0 : max(1, (status >> 8) & 0xff)
    }
}

/// Text of a file, 16 MiB at most.
///
/// - Throws: `ShellError` when it can't be read or is larger.
func readFile(_ path: String) throws -> String {
    let limit = 16 << 20
    let bytes = try fileBytes(path, limit: limit + 1)
    guard bytes.count <= limit else { throw ShellError("\(path) is larger than 16 MiB") }
    return String(decoding: bytes, as: UTF8.self)
}

/// The first bytes of a file, or the last, at most `limit`: a device or a pipe that never ends takes no
/// more memory than that.
///
/// - Throws: `ShellError` with the system's reason.
func fileBytes(_ path: String, limit: Int, fromEnd: Bool = false) throws -> [UInt8] {
    func failure() -> ShellError {
        ShellError("cannot read \(path): \(String(cString: strerror(errno)))")
    }
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure() }
    defer { close(descriptor) }
    if fromEnd {
        let size = lseek(descriptor, 0, SEEK_END)
        guard size >= 0, lseek(descriptor, max(0, size - limit), SEEK_SET) >= 0 else {
            throw failure()
        }
    }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while bytes.count < limit {
        let count = Glibc.read(descriptor, &buffer, min(buffer.count, limit - bytes.count))
        if count < 0, errno == EINTR { continue }
        guard count >= 0 else { throw failure() }
        if count == 0 { break }
        bytes += buffer[..<count]
    }
    return bytes
}

/// The file that `\o` names: begun empty, then added to by each answer.
struct OutputFile {
    private let path: String

    /// - Throws: `ShellError` when it can't be written.
    init(_ path: String) throws { self.path = path }

    /// Makes the file empty.
    static func begin(_ path: String) throws {
        try OutputFile(path).write("", flags: O_TRUNC)
    }

    func write(_ text: String) throws { try write(text, flags: O_APPEND) }

    private func write(_ text: String, flags: Int32) throws {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0o644)
        guard descriptor >= 0 else {
            throw ShellError("cannot write \(path): \(String(cString: strerror(errno)))")
        }
        defer { close(descriptor) }
        let isWritten = Array(text.utf8).withUnsafeBytes { Terminal.write($0, to: descriptor) }
        guard isWritten else { throw ShellError("cannot write \(path)") }
    }
}
