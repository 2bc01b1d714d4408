// SPDX-License-Identifier: Apache-2.0
// What a tail shows, and what waits while it is paused.

import Base

/// Lines of a tail on their way to the screen. Pure: frames and keys go in, text comes out.
struct TailView: Sendable {
    private(set) var isPaused = false
    private(set) var waiting: [LogLine] = []
    /// Lines that the server left out, and that were too many while paused.
    private(set) var dropped = 0
    private(set) var shown = 0
    /// What lines, or their labels, must contain to be shown, small and capital letters alike; empty
    /// for all.
    private(set) var filter = ""
    /// A filter while it is typed.
    private(set) var typing: String?
    /// Lines that the filter left out.
    private(set) var hidden = 0
    /// The last lines, shown or not: what a new filter is applied to first.
    private var recent: [LogLine] = []
    private var isFirst = true
    private let options: ShellOptions
    /// Lines kept while paused; the oldest go and are counted.
    static let mostWaiting = 10_000
    /// Lines kept for a new filter.
    static let mostRecent = 1000
    /// Characters of a filter.
    static let mostFilter = 200

    init(_ options: ShellOptions) { self.options = options }

    /// Takes a frame.
    ///
    /// - Returns: text to write now.
    mutating func add(_ frame: TailFrame) -> String {
        dropped += frame.dropped
        guard isPaused else { return text(frame.lines) }
        waiting += frame.lines
        if waiting.count > Self.mostWaiting {
            dropped += waiting.count - Self.mostWaiting
            waiting.removeFirst(waiting.count - Self.mostWaiting)
        }
        return ""
    }

    /// Space: stops showing, or shows what has come meanwhile.
    ///
    /// - Returns: text to write now.
    mutating func togglePause() -> String {
        isPaused.toggle()
        guard !isPaused else { return "" }
        defer { waiting = [] }
        return text(waiting)
    }

    /// Whether a key ends the tail.
    enum Step: Equatable { case write(String), end }

    /// A key: `/` begins a filter, Enter applies what is typed, Escape leaves the one before.
    mutating func apply(_ key: Key) -> Step {
        guard let typed = typing else {
            switch key {
            case .text(" "): return .write(togglePause())
            case .text("/"): typing = ""
            case .text("q"), .control("c"), .endOfInput: return .end
            default: break
            }
            return .write("")
        }
        switch key {
        case .text(let text) where typed.count + text.count <= Self.mostFilter:
            typing = typed + text
        case .backspace: typing = String(typed.dropLast())
        case .control("u"): typing = ""
        case .enter:
            typing = nil
            return .write(setFilter(typed))
        case .escape, .control("g"): typing = nil
        case .control("c"), .endOfInput: return .end
        default: break
        }
        return .write("")
    }

    /// Lines that have come already are shown again as far as they fit, under a line that says so.
    private mutating func setFilter(_ text: String) -> String {
        guard text != filter else { return "" }
        filter = text
        let fitting = recent.filter(fits)
        guard options.effectiveMode == .table || options.effectiveMode == .wide else { return "" }
        let head = text.isEmpty ? "all lines" : "lines with \(text)"
        return [StyledText("-- " + head, .dim, options.terminal)].rendered(options.terminal)
            + (text.isEmpty ? "" : fitting.map(line).rendered(options.terminal))
    }

    private func fits(_ line: LogLine) -> Bool {
        if filter.isEmpty { return true }
        let wanted = filter.lowercased()
        return line.text.lowercased().contains(wanted)
            || line.labels.members.contains { $0.value.text.lowercased().contains(wanted) }
    }

    /// The line at the bottom.
    var status: String {
        if let typing { return "/" + typing }
        var text = isPaused ? "paused, \(waiting.count) waiting" : "tail"
        text += ", \(shown) lines"
        if !filter.isEmpty { text += " with \(filter), \(hidden) without" }
        if dropped > 0 { text += ", \(dropped) dropped" }
        return text + "  space \(isPaused ? "goes on" : "pauses"), / filters, q ends"
    }

    private mutating func text(_ all: [LogLine]) -> String {
        recent = Array((recent + all.suffix(Self.mostRecent)).suffix(Self.mostRecent))
        let lines = filter.isEmpty ? all : all.filter(fits)
        hidden += all.count - lines.count
        shown += lines.count
        guard !lines.isEmpty else { return "" }
        defer { isFirst = false }
        switch options.effectiveMode {
        case .table, .wide, .chart: return lines.map(line).rendered(options.terminal)
        case .json: return logTable(lines, options.zone).rendered(.jsonl, options.terminal)
        case .csv, .tsv, .markdown:
            let text = logTable(lines, options.zone).rendered(
                options.effectiveMode, options.terminal)
            guard !isFirst else { return text }
            let head = options.effectiveMode == .markdown ? 2 : 1
            return text.split(separator: "\n", omittingEmptySubsequences: false)
                .dropFirst(head).joined(separator: "\n")
        case .jsonl, .raw, .logfmt:
            return logTable(lines, options.zone).rendered(options.effectiveMode, options.terminal)
        }
    }

    private func line(_ line: LogLine) -> StyledText {
        let terminal = options.terminal
        let time = options.zone.text(nanos: line.nanos, digits: 3).dropFirst(11).prefix(12)
        var out = StyledText(String(time) + " ", VolumeBars.style(of: line.level), terminal)
        let service = line.labels["service_name"].text
        out.add(
            service.isEmpty ? seriesText(line.labels) : service,
            Style.palette[Int(stableHash(service) % UInt64(Style.palette.count))])
        out.add(" " + line.text)
        return out
    }

    /// The same service has the same colour in every run.
    private func stableHash(_ text: String) -> UInt64 {
        text.utf8.reduce(14_695_981_039_346_656_037) { ($0 ^ UInt64($1)) &* 1_099_511_628_211 }
    }
}
