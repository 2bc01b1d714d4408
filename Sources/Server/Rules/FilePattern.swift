// SPDX-License-Identifier: Apache-2.0
// Files by pattern.

import FoundationEssentials

/// Paths with `*`, `?` and `[…]` in any of their parts. Source: Go's `path/filepath`, `Glob`.
enum FilePattern {
    /// Existing files that match, ascending. A path without a pattern is itself, when it exists.
    ///
    /// - Parameter directory: folder that relative patterns are taken from; empty = the working one.
    static func files(_ pattern: String, in directory: String) -> [String] {
        let path = absolute(pattern, in: directory)
        if !hasPattern(path) { return FileManager.default.fileExists(atPath: path) ? [path] : [] }
        var found = path.hasPrefix("/") ? ["/"] : [""]
        let parts = path.split(separator: "/").map(String.init)
        for (index, part) in parts.enumerated() {
            let isLast = index + 1 == parts.count
            found = found.flatMap { base in
                names(part, in: base).compactMap { name in
                    let path = base + name
                    guard FileManager.default.fileExists(atPath: path) else { return nil }
                    return isLast ? path : path + "/"
                }
            }
        }
        return found.sorted()
    }

    static func absolute(_ path: String, in directory: String) -> String {
        if path.hasPrefix("/") || directory.isEmpty { return path }
        return directory.hasSuffix("/") ? directory + path : directory + "/" + path
    }

    static func hasPattern(_ path: String) -> Bool {
        path.contains { "*?[".contains($0) }
    }

    private static func names(_ part: String, in directory: String) -> [String] {
        guard hasPattern(part) else { return [part] }
        let folder = directory.isEmpty ? "." : directory
        // As upstream (Go's `filepath.Glob`), a folder that cannot be read matches nothing.
        let all = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return all.filter { matches(Array(part)[...], Array($0)[...]) }
    }

    /// Whether a name matches a pattern; neither has a slash.
    static func matches(_ pattern: ArraySlice<Character>, _ name: ArraySlice<Character>) -> Bool {
        var (pattern, name) = (pattern, name)
        while let next = pattern.first {
            switch next {
            case "*":
                let rest = pattern.drop { $0 == "*" }
                if rest.isEmpty { return true }
                return name.indices.contains { matches(rest, name[$0...]) }
                    || matches(rest, name[name.endIndex...])
            case "?":
                if name.isEmpty { return false }
                (pattern, name) = (pattern.dropFirst(), name.dropFirst())
            case "[":
                guard let character = name.first,
                    let (isIn, rest) = matchesClass(pattern.dropFirst(), character), isIn
                else { return false }
                (pattern, name) = (rest, name.dropFirst())
            default:
                if next == "\\", pattern.count > 1 { pattern = pattern.dropFirst() }
                guard let wanted = pattern.first, wanted == name.first else { return false }
                (pattern, name) = (pattern.dropFirst(), name.dropFirst())
            }
        }
        return name.isEmpty
    }

    /// Nil when the class has no end.
    private static func matchesClass(
        _ pattern: ArraySlice<Character>, _ character: Character
    ) -> (Bool, ArraySlice<Character>)? {
        var pattern = pattern
        let isNegated = pattern.first == "^"
        if isNegated { pattern = pattern.dropFirst() }
        var isIn = false
        while let low = pattern.popFirst() {
            if low == "]" { return (isIn != isNegated, pattern) }
            var high = low
            if pattern.first == "-", let end = pattern.dropFirst().first, end != "]" {
                high = end
                pattern = pattern.dropFirst(2)
            }
            if low <= character, character <= high { isIn = true }
        }
        return nil
    }
}
