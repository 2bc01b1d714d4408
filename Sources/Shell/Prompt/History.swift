// SPDX-License-Identifier: Apache-2.0
// Lines typed before.

/// Past lines, oldest first, kept in a file of the user's. Lines are added at its end, so several
/// shells can share it.
package struct History: Sendable {
    package private(set) var lines: [String] = []
    private let path: String?
    /// Most lines kept, and most bytes of a file that are read.
    static let limit = 10_000
    static let byteLimit = 16 << 20

    /// Reads the file when there is one; `nil` keeps history in memory only. A file that has grown
    /// to twice the limit is cut to it.
    package init(path: String?) {
        self.path = path
        // A file that is not there, or cannot be read, is no history; adding a line says what is wrong.
        guard let path,
            let bytes = try? fileBytes(path, limit: Self.byteLimit, fromEnd: true)
        else { return }
        let all = String(decoding: bytes, as: UTF8.self)
            .split(separator: "\n")
        lines = all.suffix(Self.limit).map { unescaped(String($0)) }
        if all.count > 2 * Self.limit {
            // Left as it is when it can't be written: adding a line will say so.
            try? StatePath.replace(
                path, with: all.suffix(Self.limit).joined(separator: "\n") + "\n")
        }
    }

    /// Where history lies: `$TERN_HISTORY`, else `tern/history` in the user's state folder.
    package static func defaultPath() -> String? {
        Terminal.environment("TERN_HISTORY") ?? StatePath.file("history")
    }

    /// Adds a line, also to the file. A line equal to the one before is not added twice.
    ///
    /// - Throws: whatever writing throws; the line is in memory all the same.
    package mutating func add(_ line: String) throws {
        guard !line.isEmpty, lines.last != line else { return }
        lines.append(line)
        if lines.count > History.limit { lines.removeFirst(lines.count - History.limit) }
        if let path { try StatePath.append(escaped(line), to: path) }
    }

    /// The newest line before `index` that contains `text`, searching backwards.
    package func search(_ text: String, before index: Int) -> Int? {
        guard !text.isEmpty else { return nil }
        return lines[..<min(index, lines.count)].lastIndex { $0.contains(text) }
    }

    private func escaped(_ line: String) -> String {
        line.replacing("\\", with: "\\\\").replacing("\n", with: "\\n")
    }

    private func unescaped(_ line: String) -> String {
        var out = ""
        var escape = false
        for character in line {
            if escape {
                out.append(character == "n" ? "\n" : character)
                escape = false
            } else if character == "\\" {
                escape = true
            } else {
                out.append(character)
            }
        }
        return out
    }
}
