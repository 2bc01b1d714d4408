// SPDX-License-Identifier: Apache-2.0
// A trace as a waterfall.

import Base

/// A trace drawn over time: a line a span with its place in the tree, its bar, its duration and
/// self time, marks of the critical path and of errors; the log lines of each span under it at
/// their times; gaps of a span in which none of its children ran and that matter.
struct Waterfall: Sendable {
    private let data: JSONValue
    private let spans: [JSONValue]
    private let start: Int64
    private let duration: Int64
    private let terminal: TerminalTraits
    private let zone: ShownZone
    private let barColumns: Int
    private let textColumns: Int
    /// Spans and log lines drawn; the rest is counted.
    static let most = 5000
    /// Depth at which indentation ends.
    static let deepest = 24
    /// Share of the trace that a gap takes to be shown.
    static let gapShare = 0.05

    /// - Parameter data: `data` of `/api/v1/correlate/trace/{id}`.
    init(_ data: JSONValue, _ terminal: TerminalTraits, _ zone: ShownZone = .utc) {
        self.data = data
        self.terminal = terminal
        self.zone = zone
        spans = data["spans"].items
        start = data["startTimeUnixNano"].int
        duration = max(1, data["endTimeUnixNano"].int.subtractingClamping(start))
        let width = terminal.isTerminal ? terminal.columns : 120
        barColumns = max(10, min(60, width < 110 ? width / 3 : width * 2 / 5))
        textColumns = terminal.isTerminal ? max(16, width - barColumns - 2) : Int.max / 2
    }

    var lines: [StyledText] {
        var out = [headline]
        if spans.contains(where: { $0["criticalPathNanos"].int > 0 }) {
            out.append(
                StyledText("(\(pathMark) on the critical path)", .dim, terminal))
        }
        out.append(scale)
        var children: [String: [Int]] = [:]
        let ids = Set(spans.map { $0["spanID"].text })
        for (index, span) in spans.enumerated() {
            let parent = span["parentSpanID"].text
            children[ids.contains(parent) ? parent : "", default: []].append(index)
        }
        for key in children.keys {
            children[key]?.sort {
                spans[$0]["startTimeUnixNano"].int < spans[$1]["startTimeUnixNano"].int
            }
        }
        let logs = data["logs"].items
        var logsBySpan: [String: [JSONValue]] = [:]
        for log in logs { logsBySpan[log["spanID"].text, default: []].append(log) }
        var drawn = Set<Int>()
        // Depth-first over an explicit stack: a trace may be deeper than the call stack.
        let roots = children[""] ?? []
        var stack = roots.enumerated().reversed().map {
            (index: $0.element, branch: Branch(isLast: $0.offset == roots.count - 1))
        }
        while let (index, branch) = stack.popLast(), out.count < Self.most {
            guard drawn.insert(index).inserted else { continue }
            let span = spans[index]
            let own = children[span["spanID"].text] ?? []
            out.append(spanLine(span, branch))
            let inner = branch.tree(below: true, !own.isEmpty, terminal)
            for log in logsBySpan[span["spanID"].text] ?? [] { out.append(logLine(log, inner)) }
            for gap in gaps(of: span, children: own) {
                out.append(gapLine(gap, inner))
            }
            for (offset, child) in own.enumerated().reversed() {
                stack.append((child, branch.child(isLast: offset == own.count - 1)))
            }
        }
        if drawn.count < spans.count {
            out.append(
                StyledText("and \(spans.count - drawn.count) more spans", .dim, terminal))
        }
        for log in logs where !ids.contains(log["spanID"].text) {
            guard out.count < Self.most + 1000 else { break }
            out.append(logLine(log, ""))
        }
        return out + exemplars
    }

    private var headline: StyledText {
        var line = StyledText("trace ", .plain, terminal)
        line.add(data["traceID"].text, .bold)
        line.add("  \(time(duration))  \(data["spanCount"].text) spans  ")
        let errors = data["errorCount"].int
        line.add("\(errors) errors", errors > 0 ? .red : .plain)
        line.add("  \(data["rootService"].text) \(data["rootName"].text)")
        return line
    }

    /// The ends of the time axis above the bars.
    private var scale: StyledText {
        let end = time(duration)
        var line = StyledText("0", .dim, terminal)
        line.pad(to: max(line.width, barColumns - end.count))
        line.add(end, .dim)
        line.pad(to: barColumns + 2)
        line.add(zone.text(nanos: start, digits: 3), .dim)
        return line
    }

    private var exemplars: [StyledText] {
        var out: [StyledText] = data["exemplars"].items.prefix(100).map { exemplar in
            var line = StyledText(terminal)
            line.pad(to: barColumns + 2)
            line.add("exemplar ", .dim)
            line.add(seriesText(exemplar["labels"]) + " " + exemplar["value"].text)
            return line
        }
        if data["partial"] == .bool(true) {
            out.append(
                StyledText("(partial: some of the data could not be read)", .yellow, terminal))
        }
        return out
    }

    private var pathMark: String { terminal.unicode ? "◆" : "*" }
    private func time(_ nanos: Int64) -> String { spanText(nanos, unicode: terminal.unicode) }

    /// First and last column of a stretch of the trace.
    private func columns(_ from: Int64, _ length: Int64) -> (from: Int, count: Int) {
        let offset = max(0, from.subtractingClamping(start))
        let first = min(
            barColumns - 1, Int(clamping: Double(offset) / Double(duration) * Double(barColumns)))
        let count = Int(
            clamping: (Double(max(0, length)) / Double(duration) * Double(barColumns)).rounded())
        return (first, max(1, min(barColumns - first, count)))
    }

    private func spanLine(_ span: JSONValue, _ branch: Branch) -> StyledText {
        let length = max(0, span["durationNanos"].int)
        let bar = columns(span["startTimeUnixNano"].int, length)
        let failed = span["status"].text == "error"
        let isOnPath = span["criticalPathNanos"].int > 0
        var line = StyledText(terminal)
        line.pad(to: bar.from)
        let mark =
            terminal.unicode
            ? (length == 0 ? "▏" : isOnPath ? "█" : "▓") : (isOnPath ? "#" : "=")
        line.add(String(repeating: mark, count: bar.count), failed ? .red : .cyan)
        line.pad(to: barColumns + 2)
        line.add(branch.tree(below: false, false, terminal), .dim)
        if isOnPath { line.add(pathMark + " ", .yellow) }
        line.add(span["service"].text + " ", .bold)
        line.add(span["name"].text)
        line.add("  " + time(length))
        let own = span["selfTimeNanos"].int
        if !span["selfTimeNanos"].isNull, own < length { line.add(" (self \(time(own)))", .dim) }
        if failed {
            let message = span["statusMessage"].text
            line.add("  ERROR" + (message.isEmpty ? "" : ": " + message), .red)
        }
        let code = span["code"]["raw"].text
        if !code.isEmpty { line.add("  at " + code, .magenta) }
        return line
    }

    private func logLine(_ log: JSONValue, _ tree: String) -> StyledText {
        let nanos = log["timestampUnixNano"].int
        let inside =
            nanos >= start && nanos.subtractingClamping(start) <= duration
            ? columns(nanos, 0).from : nil
        var line = StyledText(terminal)
        if let inside {
            line.pad(to: inside)
            line.add(terminal.unicode ? "·" : ".", .dim)
        }
        line.pad(to: barColumns + 2)
        line.add(tree, .dim)
        let level = log["structuredMetadata"]["detected_level"].text
        line.add((terminal.unicode ? "· " : ". "), .dim)
        line.add(String(zone.text(nanos: nanos, digits: 3).dropFirst(11).prefix(12)) + " ", .dim)
        if !level.isEmpty { line.add(level + " ", VolumeBars.style(of: level)) }
        line.add(log["line"].text)
        return line
    }

    /// Stretches of a span with children in which it waited for none of them.
    private func gaps(of span: JSONValue, children: [Int]) -> [(start: Int64, length: Int64)] {
        guard !children.isEmpty else { return [] }
        var cursor = span["startTimeUnixNano"].int
        let end = cursor.addingReportingOverflow(max(0, span["durationNanos"].int)).partialValue
        var out: [(start: Int64, length: Int64)] = []
        func add(until: Int64) {
            let length = until.subtractingClamping(cursor)
            if Double(length) > Double(duration) * Self.gapShare { out.append((cursor, length)) }
        }
        for child in children {
            let from = spans[child]["startTimeUnixNano"].int
            add(until: min(from, end))
            let till = from.addingReportingOverflow(max(0, spans[child]["durationNanos"].int))
            cursor = max(cursor, till.partialValue)
        }
        add(until: end)
        return out
    }

    private func gapLine(_ gap: (start: Int64, length: Int64), _ tree: String) -> StyledText {
        let bar = columns(gap.start, gap.length)
        var line = StyledText(terminal)
        line.pad(to: bar.from)
        line.add(String(repeating: terminal.unicode ? "┄" : "-", count: bar.count), .dim)
        line.pad(to: barColumns + 2)
        line.add(tree, .dim)
        line.add("gap \(time(gap.length)) in no child", .dim)
        return line
    }
}

/// Where in a tree a line stands: whether each of its ancestors is the last of its siblings.
struct Branch: Sendable, Equatable {
    /// From the root; at most `Waterfall.deepest` are drawn.
    private var isLast: [Bool]

    init(isLast: Bool) { self.isLast = [isLast] }

    func child(isLast last: Bool) -> Branch {
        var out = self
        if out.isLast.count < Waterfall.deepest { out.isLast.append(last) }
        return out
    }

    /// The lines of the tree in front of a node, or of what is written below it.
    func tree(below: Bool, _ hasChildren: Bool, _ terminal: TerminalTraits) -> String {
        let unicode = terminal.unicode
        var out = ""
        for (depth, last) in isLast.enumerated() where depth > 0 {
            if depth < isLast.count - 1 || below {
                out += last ? "   " : unicode ? "│  " : "|  "
            } else {
                out += last ? (unicode ? "└─ " : "`- ") : unicode ? "├─ " : "|- "
            }
        }
        if below { out += hasChildren ? (unicode ? "│  " : "|  ") : "   " }
        return out
    }
}
