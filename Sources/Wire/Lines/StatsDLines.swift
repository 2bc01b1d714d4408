// SPDX-License-Identifier: Apache-2.0
// StatsD lines as observations.

import Base
import Telemetry

/// Observations of one or more packets, for whoever adds them up.
package struct StatsDBatch: Sendable {
    package enum Kind: UInt8, Sendable {
        case counter, gauge, histogram, set
    }
    package struct Observation: Sendable {
        /// Labels with `__name__`, in `arena`.
        package var series: LabelsRef
        package var kind: Kind
        /// Increment, level, observed value; of a set the hash of the member.
        package var value: Double
        /// How many this one stands for: the inverse of the sample rate.
        package var weight: Double
        /// A gauge that changes by `value` instead of becoming it.
        package var isChange: Bool
        package var member: UInt64
    }

    package var arena: [UInt8] = []
    package var observations: [Observation] = []
    package private(set) var rejectedLines = 0
    /// The first reasons.
    package private(set) var problems: [String] = []

    package init() {}

    fileprivate mutating func reject(_ reason: @autoclosure () -> String) {
        rejectedLines += 1
        if problems.count < 4 { problems.append(reason()) }
    }
}

/// `name:value|type|@rate|#tag:value,…` lines of StatsD and DogStatsD.
///
/// Counters (`c`), gauges (`g`, with a sign a change), timers (`ms`, turned into seconds),
/// histograms and distributions (`h`, `d`) and sets (`s`); several values of one line are separated
/// by colons. Names keep letters, digits, underscores and colons, everything else becomes an
/// underscore. Tags without a value are left out. Events and service checks are refused.
///
/// Source: statsd `docs/metric_types.md`; Datadog "DogStatsD datagram"; prometheus/statsd_exporter
/// `pkg/line`, `pkg/mapper` (names).
package enum StatsDLines {
    /// Decodes lines separated by line ends. Never fails as a whole.
    package static func decode(
        _ bytes: UnsafeRawBufferPointer, limits: MetricDecodingLimits = MetricDecodingLimits(),
        into batch: inout StatsDBatch
    ) {
        var decoder = StatsDDecoder(limits: limits)
        var start = 0
        while start < bytes.count {
            let end = findEither(10, 10, in: UnsafeRawBufferPointer(rebasing: bytes[start...]))
            var line = bytes[start..<(start + end)]
            start += end + 1
            if line.last == 13 { line = line.dropLast() }
            if line.isEmpty { continue }
            let kept = batch.observations.count
            do throws(LineProblem) {
                try decoder.read(line, into: &batch)
            } catch {
                batch.observations.removeLast(batch.observations.count - kept)
                batch.reject(error.message)
            }
        }
    }
}

private typealias Text = Slice<UnsafeRawBufferPointer>

/// A text piece by piece, empty pieces included.
private struct Pieces {
    private var rest: Text?
    private let separator: UInt8

    init(_ text: Text, _ separator: UInt8) {
        rest = text
        self.separator = separator
    }

    mutating func next() -> Text? {
        guard let text = rest else { return nil }
        guard let end = text.firstIndex(of: separator) else {
            rest = nil
            return text
        }
        rest = text[(end + 1)...]
        return text[..<end]
    }
}

private struct StatsDDecoder: ~Copyable {
    private var labels: LabelCheck
    private var name: [UInt8] = []
    private var key: [UInt8] = []

    init(limits: MetricDecodingLimits) { labels = LabelCheck(limits: limits) }

    mutating func read(_ line: Text, into batch: inout StatsDBatch) throws(LineProblem) {
        if line.starts(with: "_e{".utf8) || line.starts(with: "_sc|".utf8) {
            throw LineProblem("events and service checks are no metrics")
        }
        guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon > line.startIndex else {
            throw LineProblem("a name, a colon and a value are needed")
        }
        var parts = Pieces(line[(colon + 1)...], UInt8(ascii: "|"))
        guard let values = parts.next(), let type = parts.next() else {
            throw LineProblem("the type is missing")
        }
        let (kind, factor) = try kind(type)
        var rate = 1.0
        labels.reset()
        Self.clean(line[..<colon], to: &name)
        add("__name__", name)
        while let part = parts.next() {
            switch part.first {
            case UInt8(ascii: "@"):
                rate = try number(part.dropFirst())
                guard rate > 0, rate <= 1 else { throw LineProblem("sample rate outside 0…1") }
            case UInt8(ascii: "#"): readTags(part.dropFirst())
            // The container the sender runs in.
            case UInt8(ascii: "c") where part.starts(with: "c:".utf8): break
            default: throw LineProblem("unknown part \(Self.shown(part))")
            }
        }
        if let problem = labels.seal() { throw LineProblem(problem.message) }
        let series = labels.buffer.keep(in: &batch.arena)
        var all = Pieces(values, UInt8(ascii: ":"))
        while let value = all.next() {
            batch.observations.append(
                try observation(value, kind, factor, weight: 1 / rate, series))
        }
    }

    private func kind(_ text: Text) throws(LineProblem) -> (StatsDBatch.Kind, Double) {
        switch (text.first, text.count) {
        case (UInt8(ascii: "c"), 1): return (.counter, 1)
        case (UInt8(ascii: "g"), 1): return (.gauge, 1)
        // Prometheus' unit of time.
        case (UInt8(ascii: "m"), 2) where text.last == UInt8(ascii: "s"):
            return (.histogram, 0.001)
        case (UInt8(ascii: "h"), 1), (UInt8(ascii: "d"), 1): return (.histogram, 1)
        case (UInt8(ascii: "s"), 1): return (.set, 1)
        default: throw LineProblem("unknown type \(Self.shown(text))")
        }
    }

    private func observation(
        _ text: Text, _ kind: StatsDBatch.Kind, _ factor: Double, weight: Double,
        _ series: LabelsRef
    ) throws(LineProblem) -> StatsDBatch.Observation {
        var result = StatsDBatch.Observation(
            series: series, kind: kind, value: 0, weight: 1, isChange: false, member: 0)
        switch kind {
        case .set: result.member = hash64(UnsafeRawBufferPointer(rebasing: text))
        case .counter:
            result.value = try number(text) * weight
            guard result.value >= 0 else { throw LineProblem("a counter cannot fall") }
        case .gauge:
            result.value = try number(text)
            result.isChange = text.first == UInt8(ascii: "+") || text.first == UInt8(ascii: "-")
        case .histogram:
            result.value = try number(text) * factor
            result.weight = weight
        }
        return result
    }

    private func number(_ text: Text) throws(LineProblem) -> Double {
        let text = UnsafeRawBufferPointer(rebasing: text)
        guard let value = parseFloat(text), value.isFinite else {
            throw LineProblem(notANumber(text))
        }
        return value
    }

    private mutating func readTags(_ text: Text) {
        var tags = Pieces(text, UInt8(ascii: ","))
        while let tag = tags.next() {
            guard let colon = tag.firstIndex(of: UInt8(ascii: ":")), colon > tag.startIndex else {
                continue
            }
            Self.clean(tag[..<colon], to: &key)
            let value = UnsafeRawBufferPointer(rebasing: tag[(colon + 1)...])
            key.withUnsafeBytes { labels.add($0, value) }
        }
    }

    private mutating func add(_ label: StaticString, _ value: [UInt8]) {
        value.withUnsafeBytes {
            labels.add(
                label.bytes, $0)
        }
    }

    private static func clean(_ text: Text, to out: inout [UInt8]) {
        out.removeAll(keepingCapacity: true)
        if let first = text.first, first &- UInt8(ascii: "0") < 10 { out.append(UInt8(ascii: "_")) }
        for byte in text {
            let isKept =
                byte &- UInt8(ascii: "0") < 10 || (byte | 0x20) &- UInt8(ascii: "a") < 26
                || byte == UInt8(ascii: ":")
            out.append(isKept ? byte : UInt8(ascii: "_"))
        }
    }

    private static func shown(_ text: Text) -> String {
        quotedText(String(decoding: text.prefix(64), as: UTF8.self))
    }
}
