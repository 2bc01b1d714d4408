// SPDX-License-Identifier: Apache-2.0
// Services and what they call, as a tree.

/// Who calls whom, with rates: entry points at the left, what they call below them and further in.
struct ServiceTree: Sendable {
    struct Edge: Sendable, Equatable {
        var parent: String
        var child: String
        var callCount: Int64
        /// Nil where the answer does not say.
        var errorCount: Int64?
        var p95Nanos: Int64?
    }
    var edges: [Edge]
    /// Seconds over which the calls were counted.
    var seconds: Double
    /// Lines drawn.
    static let most = 500

    func lines(_ terminal: TerminalTraits) -> [StyledText] {
        var below: [String: [Edge]] = [:]
        var called = Set<String>()
        for edge in edges where edge.parent != edge.child {
            below[edge.parent, default: []].append(edge)
            called.insert(edge.child)
        }
        for key in below.keys {
            below[key]?.sort { ($1.callCount, $0.child) < ($0.callCount, $1.child) }
        }
        var roots = below.keys.filter { !called.contains($0) }.sorted()
        // A ring of callers has no root: begin with the busiest.
        if roots.isEmpty, let first = edges.max(by: { $0.callCount < $1.callCount }) {
            roots = [first.parent]
        }
        var out: [StyledText] = []
        var seen = Set<String>()
        var stack = roots.reversed().map {
            (edge: Edge?.none, name: $0, branch: Branch(isLast: true))
        }
        while let (edge, name, branch) = stack.popLast(), out.count < Self.most {
            var line = StyledText(branch.tree(below: false, false, terminal), .dim, terminal)
            line.add(name, .bold)
            if let edge { describe(edge, &line, terminal) }
            let isFirst = seen.insert(name).inserted
            let children = below[name] ?? []
            if !isFirst, !children.isEmpty { line.add("  (above)", .dim) }
            out.append(line)
            guard isFirst else { continue }
            for (offset, next) in children.enumerated().reversed() {
                stack.append(
                    (next, next.child, branch.child(isLast: offset == children.count - 1)))
            }
        }
        for edge in edges where edge.parent == edge.child {
            var line = StyledText(edge.parent, .bold, terminal)
            line.add(" calls itself", .dim)
            describe(edge, &line, terminal)
            out.append(line)
        }
        return out
    }

    private func describe(_ edge: Edge, _ line: inout StyledText, _ terminal: TerminalTraits) {
        line.add("  " + axisText(Double(edge.callCount) / max(1, seconds)) + "/s")
        if let errors = edge.errorCount, errors > 0, edge.callCount > 0 {
            line.add(
                "  " + axisText(Double(errors) / Double(edge.callCount) * 100) + " % errors", .red)
        }
        if let p95 = edge.p95Nanos, p95 > 0 {
            line.add("  p95 " + spanText(p95, unicode: terminal.unicode), .dim)
        }
    }
}
