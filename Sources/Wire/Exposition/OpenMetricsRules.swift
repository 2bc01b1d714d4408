// SPDX-License-Identifier: Apache-2.0
// What the OpenMetrics specification demands beyond its grammar.

import Base
import Telemetry

/// Checks an OpenMetrics exposition family by family: names that clash, order of groups and
/// timestamps, values that a type cannot have, the shape of histograms, places of exemplars.
///
/// Prometheus' scraper checks none of this; the strict mode is for who writes an exporter. It works
/// with strings, unlike the parser. Source: OpenMetrics 1.0 specification.
struct OpenMetricsRules {
    /// The family whose lines are being read.
    private struct Family {
        var name: String
        var type = MetricType.unknown
        var hasType = false
        var hasHelp = false
        var hasUnit = false
        var unitIsEmpty = true
        var hasSamples = false
    }

    /// The samples of one group at one time: what a histogram must agree in.
    private struct HistogramPoint {
        var count: Double?
        var hasSum = false
        var hasGaugeSum = false
        var gaugeSumIsNegative = false
        var hasNegativeBucket = false
        var bound: Double?
        var value = 0.0
    }

    private var family: Family?
    private var names: Set<String> = []
    private var group: [String]?
    private var groups: Set<[String]> = []
    private var groupMillis: Int64?
    private var groupSamples: Set<[String]> = []
    private var point: HistogramPoint?
    private var pointMillis: Int64?

    // MARK: families

    mutating func check(
        _ entry: ExpositionParser.Entry, _ parser: inout ExpositionParser
    ) throws(ExpositionError) {
        switch entry {
        case .comment: return
        case .series: try sample(parser)
        case .help, .type, .unit:
            let (name, isEmpty) = parser.withMetadata { family, text in
                (String(decoding: family, as: UTF8.self), text.isEmpty)
            }
            try metadata(entry, name, isEmpty: isEmpty, parser)
        }
    }

    mutating func finish(_ parser: ExpositionParser) throws(ExpositionError) {
        try endFamily(parser)
    }

    private mutating func metadata(
        _ entry: ExpositionParser.Entry, _ name: String, isEmpty: Bool, _ parser: ExpositionParser
    ) throws(ExpositionError) {
        if family?.name != name {
            try endFamily(parser)
            family = Family(name: name)
        }
        guard var current = family else { return }
        if current.hasSamples {
            throw parser.failure("metadata of family \"\(name)\" after its samples")
        }
        switch entry {
        case .help:
            if current.hasHelp { throw parser.failure("second HELP for family \"\(name)\"") }
            current.hasHelp = true
        case .type:
            if current.hasType { throw parser.failure("second TYPE for family \"\(name)\"") }
            current.hasType = true
            current.type = parser.type
        case .unit:
            if current.hasUnit { throw parser.failure("second UNIT for family \"\(name)\"") }
            current.hasUnit = true
            current.unitIsEmpty = isEmpty
        case .comment, .series: break
        }
        if !current.unitIsEmpty, current.type == .info || current.type == .stateSet {
            throw parser.failure("family \"\(name)\" of type \(current.type.text) has a unit")
        }
        family = current
    }

    /// Suffixes of a type's samples.
    private static func suffixes(_ type: MetricType) -> [String] {
        switch type {
        case .counter: ["_total", "_created"]
        case .summary: ["", "_count", "_sum", "_created"]
        case .histogram: ["_count", "_sum", "_bucket", "_created"]
        case .gaugeHistogram: ["_gcount", "_gsum", "_bucket"]
        case .info: ["_info"]
        case .unknown, .gauge, .stateSet: [""]
        }
    }

    private mutating func endFamily(_ parser: ExpositionParser) throws(ExpositionError) {
        defer {
            family = nil
            group = nil
            groups = []
            point = nil
        }
        guard let family else { return }
        if let point { try checkPoint(point, family, parser) }
        for suffix in Set(OpenMetricsRules.suffixes(family.type) + [""]).sorted() {
            if !names.insert(family.name + suffix).inserted {
                throw parser.failure("clashing name \"\(family.name + suffix)\"")
            }
        }
    }

    // MARK: samples

    private func text(_ range: Range<Int>, _ parser: ExpositionParser) -> String {
        var bytes: [UInt8] = []
        unescape(parser.lexer.slice(range.lowerBound, range.upperBound), into: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    private mutating func sample(_ parser: ExpositionParser) throws(ExpositionError) {
        let name = parser.name.map { text($0, parser) } ?? ""
        if parser.seriesText.suffix(2).elementsEqual(",}".utf8) {
            throw parser.failure("comma after the last label of \"\(name)\"")
        }
        if let known = family,
            OpenMetricsRules.suffixes(known.type).contains(where: { known.name + $0 == name })
        {
            family?.hasSamples = true
        } else {
            try endFamily(parser)
            family = Family(name: name, hasSamples: true)
        }
        guard let family else { return }
        let suffix = String(name.dropFirst(family.name.count))
        var labels: [(name: String, value: String)] = []
        for span in parser.labels {
            labels.append(
                (
                    text(span.nameStart..<span.nameEnd, parser),
                    text(span.valueStart..<span.valueEnd, parser)
                ))
        }
        try checkLabels(family, suffix, labels, parser)
        try checkValue(family, suffix, parser)
        try checkExemplar(family, suffix, parser)
        try checkOrder(family, suffix, name, labels, parser)
    }

    /// The label that tells a family's samples of one group apart.
    private func inner(_ family: Family, _ suffix: String) -> String? {
        switch family.type {
        case .histogram, .gaugeHistogram: suffix == "_bucket" ? "le" : nil
        case .summary: suffix.isEmpty ? "quantile" : nil
        case .stateSet: family.name
        case .unknown, .counter, .gauge, .info: nil
        }
    }

    private func checkLabels(
        _ family: Family, _ suffix: String, _ labels: [(name: String, value: String)],
        _ parser: ExpositionParser
    ) throws(ExpositionError) {
        guard let inner = inner(family, suffix) else { return }
        guard let value = labels.first(where: { $0.name == inner })?.value else {
            throw parser.failure(
                "sample of \(family.type.text) \"\(family.name)\" without label \"\(inner)\"")
        }
        if family.type == .stateSet { return }
        guard let number = parseFloat(value), !number.isNaN,
            number != .infinity || value == "+Inf",
            family.type != .summary || (0...1).contains(number)
        else {
            throw parser.failure("invalid value \"\(value)\" of label \"\(inner)\"")
        }
    }

    private func checkValue(
        _ family: Family, _ suffix: String, _ parser: ExpositionParser
    ) throws(ExpositionError) {
        let value = parser.value
        switch suffix {
        case "_total", "_sum", "_count", "_bucket", "_gcount":
            if value.isNaN || value < 0 {
                throw parser.failure("\(suffix) of \"\(family.name)\" is NaN or negative")
            }
        case "_gsum":
            if value.isNaN { throw parser.failure("_gsum of \"\(family.name)\" is NaN") }
        default:
            let isValid: Bool =
                switch family.type {
                case .info: value == 1
                case .stateSet: value == 0 || value == 1
                case .summary: !(suffix.isEmpty && value < 0)
                default: true
                }
            if !isValid {
                throw parser.failure(
                    "invalid value of \(family.type.text) \"\(family.name)\": \(value)")
            }
        }
    }

    private func checkExemplar(
        _ family: Family, _ suffix: String, _ parser: ExpositionParser
    ) throws(ExpositionError) {
        guard parser.hasExemplar else { return }
        let isAllowed =
            switch family.type {
            case .counter: suffix == "_total"
            case .histogram, .gaugeHistogram: suffix == "_bucket"
            default: false
            }
        if !isAllowed {
            throw parser.failure(
                "exemplar on a sample of \(family.type.text) \"\(family.name)\" that may have none")
        }
        var length = 0
        for span in parser.exemplar {
            length += text(span.nameStart..<span.nameEnd, parser).unicodeScalars.count
            length += text(span.valueStart..<span.valueEnd, parser).unicodeScalars.count
        }
        if length > 128 {
            throw parser.failure("exemplar labels of \(length) characters, more than 128")
        }
        if let last = parser.exemplar.last,
            parser.lexer.byte(last.valueEnd + 1) == UInt8(ascii: ",")
        {
            throw parser.failure("comma after the last label of an exemplar")
        }
    }

    // MARK: order

    private mutating func checkOrder(
        _ family: Family, _ suffix: String, _ name: String,
        _ labels: [(name: String, value: String)], _ parser: ExpositionParser
    ) throws(ExpositionError) {
        let inner = inner(family, suffix)
        let all = labels.flatMap { [$0.name, $0.value] }
        // Samples of an info family cannot be told apart by group.
        var key: [String] = []
        if family.type != .info {
            for label in labels.sorted(by: { $0.name < $1.name }) where label.name != inner {
                key += [label.name, label.value]
            }
        }
        let millis = parser.timestampMillis
        if let group, group == key {
            if (millis == nil) != (groupMillis == nil) {
                throw parser.failure("group of \"\(family.name)\" with and without timestamps")
            }
            if let millis, let groupMillis, millis < groupMillis, family.type != .info {
                throw parser.failure("timestamps of \"\(family.name)\" go backwards")
            }
        } else {
            if groups.contains(key) {
                throw parser.failure("samples of a group of \"\(family.name)\" are not together")
            }
            groupSamples = []
        }
        if millis != groupMillis { groupSamples = [] }
        if !groupSamples.insert([name] + all).inserted, millis == nil {
            throw parser.failure("second sample of \(name) with the same labels")
        }
        if family.type == .histogram || family.type == .gaugeHistogram {
            if let point, group != key || millis != pointMillis {
                try checkPoint(point, family, parser)
                self.point = nil
            }
            pointMillis = millis
            let bound = labels.first { $0.name == "le" }.flatMap { parseFloat($0.value) }
            try addToPoint(suffix, bound, parser)
        }
        group = key
        groups.insert(key)
        groupMillis = millis
    }

    private mutating func addToPoint(
        _ suffix: String, _ bound: Double?, _ parser: ExpositionParser
    ) throws(ExpositionError) {
        var point = self.point ?? HistogramPoint()
        switch suffix {
        case "_bucket":
            guard let bound else { break }
            if bound < 0 { point.hasNegativeBucket = true }
            if let last = point.bound, bound <= last {
                throw parser.failure("buckets out of order")
            }
            if parser.value < point.value { throw parser.failure("bucket values decrease") }
            point.bound = bound
            point.value = parser.value
        case "_count", "_gcount": point.count = parser.value
        case "_sum": point.hasSum = true
        case "_gsum":
            point.hasGaugeSum = true
            point.gaugeSumIsNegative = parser.value < 0
        default: break
        }
        self.point = point
    }

    private func checkPoint(
        _ point: HistogramPoint, _ family: Family, _ parser: ExpositionParser
    ) throws(ExpositionError) {
        func fail(_ what: String) -> ExpositionError {
            parser.failure("histogram \"\(family.name)\": \(what)")
        }
        guard point.bound == .infinity else { throw fail("+Inf bucket missing") }
        if let count = point.count {
            if count != point.value { throw fail("count differs from the +Inf bucket") }
            if !point.hasSum, !point.hasGaugeSum { throw fail("count without sum") }
        } else if point.hasSum || point.hasGaugeSum {
            throw fail("sum without count")
        }
        if point.hasNegativeBucket, point.hasSum { throw fail("sum with negative buckets") }
        if !point.hasNegativeBucket, point.gaugeSumIsNegative {
            throw fail("negative sum without negative buckets")
        }
    }
}
