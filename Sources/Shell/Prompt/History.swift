// SPDX-License-Identifier: Apache-2.0
// Lines typed before.

import FoundationEssentials

/// Past lines, oldest first, kept in a file of the user's.
package struct History: Sendable {
    package private(set) var lines: [String] = []
    private let path: String?
    /// Most lines kept.
    static let limit = 10_000

    /// Reads the file when there is one; `nil` keeps history in memory only.
    package init(path: String?) {
        self.path = path
        guard let path, let data = FileManager.default.contents(atPath: path) else { return }
        lines = String(decoding: data, as: UTF8.self).split(separator: "\n").map {
            unescaped(String($0))
        }
    }

    /// Where history lies: `$TERN_HISTORY`, else `$HOME/.tern_history`.
    package static func defaultPath() -> String? {
        Terminal.environment("TERN_HISTORY")
            ?? Terminal.environment("HOME").map { $0 + "/.tern_history" }
    }

    /// Adds a line and writes the file. A line equal to the one before is not added twice.
    ///
    /// - Throws: whatever writing throws; the line is in memory all the same.
    package mutating func add(_ line: String) throws {
        guard !line.isEmpty, lines.last != line else { return }
        lines.append(line)
        if lines.count > History.limit { lines.removeFirst(lines.count - History.limit) }
        guard let path else { return }
        let text = lines.map(escaped).joined(separator: "\n") + "\n"
        try Data(text.utf8).write(to: URL(filePath: path), options: [.atomic])
    }

    /// The newest line before `index` that contains `text`, searching backwards.
    package func search(_ text: String, before index: Int) -> Int? {
        guard !text.isEmpty else { return nil }
        return lines[..<min(index, lines.count)].lastIndex { $0.contains(text) }
    }

    private func escaped(_ line: String) -> String {
        var out = ""
        for character in line {
            switch character {
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            default: out.append(character)
            }
        }
        return out
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
