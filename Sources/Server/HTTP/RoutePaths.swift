// SPDX-License-Identifier: Apache-2.0
// Which methods a path takes.

import HTTPTypes

/// The paths of a table of routes, to tell a wrong method from a wrong path.
struct RoutePaths: Sendable {
    private let entries: [(parts: [Substring], methods: [String])]

    init(_ routes: [Route]) {
        entries = routes.map { route in
            (route.path.split(separator: "/"), route.methods.map(\.rawValue))
        }
    }

    /// Methods of a path, ascending, `OPTIONS` among them; none when nothing is served there.
    func methods(of path: String) -> [String] {
        let parts = path.split(separator: "/", omittingEmptySubsequences: true)
        var found: Set<String> = []
        for entry in entries {
            var patterns = entry.parts[...]
            if patterns.last == "**" {
                // Takes the rest, whatever and however much it is.
                patterns = patterns.dropLast()
                guard parts.count > patterns.count else { continue }
            } else if patterns.count != parts.count {
                continue
            }
            let matches = zip(patterns, parts).allSatisfy { pattern, part in
                pattern.hasPrefix("{") || pattern == part
            }
            if matches { found.formUnion(entry.methods) }
        }
        return found.isEmpty ? [] : found.union(["OPTIONS"]).sorted()
    }
}
