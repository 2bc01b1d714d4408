// SPDX-License-Identifier: Apache-2.0
// LogQL over standard input.

import Base
import Glibc
import LogQL
import PromQL
import Telemetry

/// Runs a LogQL query over lines that need no server. Log queries go through in order of arrival
/// and hold one read of them at a time; metric queries and analyses hold all.
package struct LocalLogQuery {
    private let expression: LogQLExpression
    private let options: ShellOptions
    private let stream: Labels
    private let clock: any Clock
    /// Bytes of lines that a query over all of them may hold.
    static let mostBytes = 1 << 30
    /// Bytes of a line; a longer one is cut into several.
    static let lineBytes = 1 << 20

    /// - Parameters:
    ///   - text: LogQL; one that begins with `|` is a pipeline over all lines.
    ///   - labels: of all lines, besides `source="stdin"`.
    /// - Throws: `ShellError` with the parser's words.
    package init(
        _ text: String, _ options: ShellOptions, labels: [(name: String, value: String)] = [],
        clock: any Clock = SystemClock()
    ) throws {
        let trimmed = trimmedLine(text)
        let isPipeline = ["|", "!=", "!~", "!>"].contains { trimmed.hasPrefix($0) }
        do {
            expression = try LogQLParser.parse(
                isPipeline ? "{source=\"stdin\"} " + trimmed : trimmed)
        } catch {
            throw ShellError("\(error)", .usage)
        }
        self.options = options
        self.clock = clock
        var pairs = labels.filter { $0.name != "source" }
        pairs.append(("source", labels.last { $0.name == "source" }?.value ?? "stdin"))
        stream = Labels(pairs.sorted { $0.name < $1.name })
    }

    /// Reads, answers and writes.
    ///
    /// - Parameters:
    ///   - read: the next bytes, nil at the end.
    ///   - write: returns false when nobody reads any more.
    /// - Throws: `ShellError` for what does not fit into memory; what the engine throws.
    package func run(
        read: () throws -> [UInt8]?, write: (String) throws -> Bool
    ) throws {
        if case .log(let selector) = expression {
            guard selector.matchers.match(stream) else { throw mismatch }
            return try stream(selector, read, write)
        }
        var lines: [(nanos: Int64, text: [UInt8])] = []
        var bytes = 0
        var splitter = LineSplitter(limit: Self.lineBytes)
        while let part = try read() {
            for line in splitter.add(part) {
                bytes += line.count + 64
                guard bytes <= Self.mostBytes else {
                    throw ShellError(
                        "more than \(Self.mostBytes) bytes of lines: this query needs all of them "
                            + "in memory")
                }
                lines.append((timeOfLine(line) ?? clock.wallNanos, line))
            }
        }
        if let last = splitter.rest { lines.append((timeOfLine(last) ?? clock.wallNanos, last)) }
        let source = LocalLines(lines, stream: stream)
        lines = []
        guard expression.selectors.allSatisfy({ $0.matchers.match(stream) }) else { throw mismatch }
        _ = try write(try answer(source))
    }

    private var mismatch: ShellError {
        ShellError(
            "the selector matches no line: lines of standard input have the labels "
                + stream.description, .usage)
    }

    // MARK: Lines

    private func stream(
        _ selector: LogSelector, _ read: () throws -> [UInt8]?, _ write: (String) throws -> Bool
    ) throws {
        let tail = try LogTail(selector, separatesCategories: false, nowNanos: clock.wallNanos)
        let context = ReadContext()
        var view = TailView(options)
        var splitter = LineSplitter(limit: Self.lineBytes)
        var left = options.limit > 0 ? options.limit : Int.max
        func show(_ lines: [[UInt8]]) throws -> Bool {
            guard !lines.isEmpty else { return true }
            let now = clock.wallNanos
            let batch = LocalLines.batch(lines.map { (timeOfLine($0) ?? now, $0) }, stream)
            var kept: [LogLine] = []
            try tail.run(batch, context) { line in
                kept.append(LogLine(line))
            }
            kept = Array(kept.prefix(left))
            left -= kept.count
            let text = view.add(TailFrame(lines: kept, dropped: 0))
            return try (text.isEmpty || write(text)) && left > 0
        }
        while let part = try read() {
            guard try show(splitter.add(part)) else { return }
        }
        if let rest = splitter.rest { _ = try show([rest]) }
    }

    // MARK: Metrics and analyses

    private func answer(_ source: LocalLines) throws -> String {
        let engine = LogQLEngine(reader: source, clock: clock)
        let context = ReadContext(memoryLimitBytes: 2 * Self.mostBytes)
        guard let span = source.span else { return "(no result)\n" }
        let tenant = Tenant.anonymous
        let data: JSONValue
        switch expression {
        case .metric(let metric):
            let result: MetricResult
            if options.range || options.mode == .chart {
                let length = span.last.subtractingClamping(span.first)
                let step =
                    options.stepSeconds > 0
                    ? Int64(clamping: options.stepSeconds * 1e9)
                    : max(1_000_000_000, length / 250)
                result = try engine.queryRange(
                    metric, tenant: tenant,
                    EvaluationSteps(
                        startNanos: span.first, endNanos: span.last, stepNanos: step), context)
            } else {
                result = try engine.queryInstant(
                    metric, tenant: tenant, atNanos: span.last, context)
            }
            data = metricData(result)
        case .analysis(let analysis):
            let result = try engine.analyse(
                analysis, tenant: tenant, startNanos: span.first, endNanos: span.last &+ 1,
                limit: options.limit, context)
            data = analysisData(result)
        case .log: return ""
        }
        let mode = options.effectiveMode
        let times = ChartTimes(
            startNanos: span.first, endNanos: span.last,
            stepSeconds: options.stepSeconds > 0
                ? options.stepSeconds
                : max(1, Double(span.last.subtractingClamping(span.first) / 250) / 1e9))
        switch mode {
        case .json: return ShellCommands(options, clock: clock).jsonText(data)
        case .chart:
            return metricChart(data, times, options.zone, options.terminal)
                .rendered(options.terminal)
        default:
            let table =
                data["resultType"].text == "streams"
                ? logTable(logLines(data, keepsOrder: true), options.zone)
                : metricTable(data, mode, options.terminal)
            if mode == .table, table.rows.isEmpty { return "(no result)\n" }
            return table.rendered(mode, options.terminal, vertical: options.vertical)
        }
    }

    /// The answer in the shape that a server gives it.
    private func metricData(_ result: MetricResult) -> JSONValue {
        func number(_ value: Double) -> JSONValue {
            .string(
                value.isNaN
                    ? "NaN" : value.isInfinite ? (value < 0 ? "-Inf" : "+Inf") : plainNumber(value))
        }
        let steps = result.steps
        func seconds(_ step: Int) -> JSONValue {
            .number(plainNumber(Double(steps.nanos(at: step) / 1_000_000) / 1000))
        }
        switch result.value {
        case .scalar(let value):
            return object([
                ("resultType", .string("scalar")),
                ("result", .array([seconds(0), number(value)])),
            ])
        case .series(let series):
            let isInstant = steps.count == 1
            let items = series.map { one in
                let points = (0..<one.column.count).filter { one.column.kinds[$0] == .float }
                    .map { JSONValue.array([seconds($0), number(one.column.values[$0])]) }
                return object([
                    ("metric", labelsObject(one.labels)),
                    isInstant ? ("value", points.first ?? .null) : ("values", .array(points)),
                ])
            }
            return object([
                ("resultType", .string(isInstant ? "vector" : "matrix")),
                ("result", .array(items)),
            ])
        }
    }

    private func analysisData(_ result: AnalysisResult) -> JSONValue {
        switch result {
        case .lines(let lines):
            return object([
                ("resultType", .string("streams")),
                (
                    "result",
                    .array(
                        lines.streams.map { stream in
                            object([
                                ("stream", labelsObject(stream.labels)),
                                (
                                    "values",
                                    .array(
                                        stream.entries.map {
                                            .array([
                                                .string(String($0.nanos)),
                                                .string(String(decoding: $0.line, as: UTF8.self)),
                                            ])
                                        })
                                ),
                            ])
                        })
                ),
            ])
        case .table(let table, _): return metricData(table)
        }
    }
}

private func object(_ members: [(String, JSONValue)]) -> JSONValue {
    .object(members.map { JSONMember(name: $0.0, value: $0.1) })
}

private func labelsObject(_ labels: Labels) -> JSONValue {
    object(labels.pairs.map { ($0.name, .string($0.value)) })
}

private func plainNumber(_ value: Double) -> String {
    value == value.rounded() && abs(value) < 1e15 ? String(Int64(value)) : String(value)
}

extension LogLine {
    init(_ line: TailedLine) {
        self.init(
            nanos: line.entry.nanos, labels: labelsObject(line.labels),
            text: String(decoding: line.entry.line, as: UTF8.self))
    }
}

/// Cuts bytes into lines.
struct LineSplitter {
    private var open: [UInt8] = []
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    /// The lines that end in these bytes, without their ends.
    mutating func add(_ bytes: [UInt8]) -> [[UInt8]] {
        var lines: [[UInt8]] = []
        var start = 0
        while let end = bytes[start...].firstIndex(of: 0x0a) {
            open += bytes[start..<end]
            if open.last == 0x0d { open.removeLast() }
            lines.append(open)
            open = []
            start = end + 1
        }
        open += bytes[start...]
        while open.count > limit {
            lines.append(Array(open.prefix(limit)))
            open.removeFirst(limit)
        }
        return lines
    }

    /// What came after the last end of a line.
    var rest: [UInt8]? { open.isEmpty ? nil : open }
}

/// Bytes of standard input, as they come.
package func readStandardInput() throws -> [UInt8]? {
    var buffer = [UInt8](repeating: 0, count: 1 << 18)
    while true {
        let count = Glibc.read(STDIN_FILENO, &buffer, buffer.count)
        if count > 0 { return Array(buffer.prefix(count)) }
        if count == 0 { return nil }
        guard errno == EINTR else {
            throw ShellError("cannot read standard input: \(String(cString: strerror(errno)))")
        }
    }
}
