// SPDX-License-Identifier: Apache-2.0
// compare(): what is different about some spans.

import Base
import Telemetry

/// Counts each value of each attribute among the selected spans and among the others.
///
/// Not compared: durations, starts, identifiers and places in the tree, which are different on every
/// span. Of an attribute that a span has several times each distinct value counts once. Memory grows
/// with the distinct values and is reserved from the query's budget.
struct CompareAccumulator: SpanCounting {
    /// Counts by interval, in order of first use: spans come roughly by time.
    private struct Counts {
        var intervals: [Int32] = []
        var counts: [Double] = []
        /// The span that counted last.
        var lastSpan = -1

        /// Bytes by which it grew.
        mutating func add(_ interval: Int, _ weight: Double) -> Int {
            if let place = intervals.lastIndex(of: Int32(interval)) {
                counts[place] += weight
                return 0
            }
            intervals.append(Int32(interval))
            counts.append(weight)
            return 12
        }

        func column(_ count: Int) -> [Double] {
            var column = [Double](repeating: 0, count: count)
            for (interval, value) in zip(intervals, counts) { column[Int(interval)] = value }
            return column
        }
    }

    private enum Side: Int, CaseIterable {
        case baseline, selection
        var name: String { self == .baseline ? "baseline" : "selection" }
    }

    private let grid: MetricsGrid
    private let condition: CompiledExpression?
    private let topN: Int
    /// Where a selected span must start: behind the first and not behind the second.
    private let window: (start: Int64, end: Int64)?
    private let isExtrapolated: Bool
    /// u8 scope or `intrinsicScope`, then the name.
    private var attributes = GroupTable()
    /// u8 side, u32 attribute, the value.
    private var values = GroupTable()
    private var counts: [Counts] = []
    /// Two per attribute.
    private var totals: [Counts] = []
    private var key = ByteWriter(reserving: 256)
    private var spanNumber = 0
    private var exemplars: ExemplarPicker

    private static let intrinsicScope: UInt8 = 255
    static let defaultTopN = 10

    init(
        _ aggregation: MetricsAggregation, _ grid: MetricsGrid, maxExemplars: Int,
        isExtrapolated: Bool
    ) throws {
        self.grid = grid
        self.isExtrapolated = isExtrapolated
        condition = try aggregation.selection.map(CompiledExpression.init)
        let parameters = aggregation.compareParameters
        topN = parameters.first.map { Int(clamping: $0) } ?? CompareAccumulator.defaultTopN
        window =
            parameters.count == 3 && parameters[1] != 0 ? (parameters[1], parameters[2]) : nil
        exemplars = ExemplarPicker(grid, limit: maxExemplars)
    }

    // MARK: spans

    mutating func observe(_ spans: SpanReader, _ row: Int, _ context: ReadContext) throws -> Bool {
        let start = spans.batch.startNanos[row]
        guard let interval = grid.interval(of: start) else { return false }
        let weight =
            isExtrapolated
            ? SamplingWeight.weight(traceState: spans.bytes(spans.batch.traceStates[row])) : 1
        var isSelected = condition.map { spans.value($0, row).isTrue } ?? true
        if let window { isSelected = isSelected && start > window.start && start <= window.end }
        let side = isSelected ? Side.selection : .baseline
        spanNumber += 1
        for (name, value) in spans.comparedIntrinsics(row) {
            try add(
                side, CompareAccumulator.intrinsicScope, name.withBytes, value, interval, weight,
                context)
        }
        try spans.forEachAttribute(row) { scope, name, value in
            switch value {
            case .list(let items) where scope == .event || scope == .link:
                for item in items {
                    try add(side, scope.rawValue, name, item, interval, weight, context)
                }
            default: try add(side, scope.rawValue, name, value, interval, weight, context)
            }
        }
        let totals = totals, spanNumber = spanNumber
        exemplars.offer(
            spans.batch.traceIDs[row], spans.batch.spanIDs[row], nanos: start, value: nil,
            groups: { totals.indices.filter { totals[$0].lastSpan == spanNumber } })
        return true
    }

    private mutating func add(
        _ side: Side, _ scope: UInt8, _ name: UnsafeRawBufferPointer, _ value: SpanValue,
        _ interval: Int, _ weight: Double, _ context: ReadContext
    ) throws {
        switch value {
        case .null, .other, .duration: return
        default: break
        }
        key.bytes.removeAll(keepingCapacity: true)
        key.u8(scope)
        key.raw(name)
        let attribute = attributes.number(of: key.bytes)
        if attribute * 2 == totals.count {
            try context.reserve(key.count + 160)
            totals += [Counts(), Counts()]
        }
        key.bytes.removeAll(keepingCapacity: true)
        key.u8(UInt8(side.rawValue))
        key.u32(UInt32(attribute))
        value.encode(into: &key)
        let group = values.number(of: key.bytes)
        if group == counts.count {
            try context.reserve(key.count + 96)
            counts.append(Counts())
        }
        let total = attribute * 2 + side.rawValue
        if totals[total].lastSpan != spanNumber {
            totals[total].lastSpan = spanNumber
            try context.reserve(totals[total].add(interval, weight))
        }
        if counts[group].lastSpan != spanNumber {
            counts[group].lastSpan = spanNumber
            try context.reserve(counts[group].add(interval, weight))
        }
    }

    // MARK: series

    func series(_ context: ReadContext) throws -> [SeriesColumn] {
        var result: [SeriesColumn] = []
        var groups = [[Int]](repeating: [], count: totals.count)
        for group in 0..<values.count {
            var reader = Array(values.key(group))[...]
            let side = Int(reader.removeFirst())
            let attribute = reader.prefix(4).enumerated()
                .reduce(0) { $0 | Int($1.element) << (8 * $1.offset) }
            groups[attribute * 2 + side].append(group)
        }
        for attribute in 0..<attributes.count {
            try context.check()
            let name = name(attribute)
            var isCut = false
            for side in Side.allCases {
                let place = attribute * 2 + side.rawValue
                guard !groups[place].isEmpty else { continue }
                if groups[place].count > topN { isCut = true }
                result += try ranked(groups[place], side, name)
                result.append(
                    SeriesColumn(
                        [
                            MetricsLabel("__meta_type", .string(side.name + "_total")),
                            MetricsLabel(name, .string("nil")),
                        ], totals[place].column(grid.count),
                        exemplars.picks.filter { $0.groups.contains(place) }
                            .map(SeriesColumn.Exemplar.init)))
            }
            guard isCut else { continue }
            var marker = SeriesColumn(
                [
                    MetricsLabel("__meta_error", .string("__too_many_values__")),
                    MetricsLabel(name, .string("nil")),
                ], [Double](repeating: .nan, count: grid.count), [])
            marker.isMarker = true
            result.append(marker)
        }
        return result
    }

    /// Series of the most frequent values of an attribute; of equally frequent ones those that come
    /// first in order.
    private func ranked(
        _ groups: [Int], _ side: Side, _ name: String
    ) throws -> [SeriesColumn] {
        var order = try groups.map { group in
            let value = try value(group)
            return (
                group: group, value: value, text: value.sortingText,
                total: counts[group].counts.reduce(0, +)
            )
        }
        order.sort { $0.total == $1.total ? $0.text < $1.text : $0.total > $1.total }
        return order.prefix(topN).map { item in
            SeriesColumn(
                [
                    MetricsLabel("__meta_type", .string(side.name)),
                    MetricsLabel(name, item.value),
                ], counts[item.group].column(grid.count), [])
        }
    }

    private func name(_ attribute: Int) -> String {
        let key = attributes.key(attribute)
        let name = String(decoding: key.dropFirst(), as: UTF8.self)
        guard let scope = key.first.flatMap(AttributeScope.init(rawValue:)) else { return name }
        return Attribute(scope: scope, name: name).text
    }

    private func value(_ group: Int) throws -> AttributeValue {
        try values.key(group).dropFirst(5).withUnsafeBytes { bytes in
            var reader = ByteReader(bytes)
            return try SpanValue.decode(&reader) ?? .empty
        }
    }
}

extension StaticString {
    fileprivate var withBytes: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: utf8Start, count: utf8CodeUnitCount)
    }
}

extension SpanReader {
    /// Properties of a span that `compare()` looks at; what is empty says nothing.
    fileprivate func comparedIntrinsics(_ row: Int) -> [(name: StaticString, value: SpanValue)] {
        var result: [(StaticString, SpanValue)] = [
            ("name", value(.name, row)), ("status", value(.status, row)),
            ("kind", value(.kind, row)), ("rootName", value(.rootName, row)),
            ("rootServiceName", value(.rootServiceName, row)),
        ]
        for (name, intrinsic) in [
            ("statusMessage", Intrinsic.statusMessage),
            ("instrumentation:name", .instrumentationName),
            ("instrumentation:version", .instrumentationVersion),
        ] as [(StaticString, Intrinsic)] {
            let value = value(intrinsic, row)
            if value.withText({ $0.isEmpty }) == false { result.append((name, value)) }
        }
        switch value(.eventName, row) {
        case .list(let names): for name in names { result.append(("event:name", name)) }
        case let name: result.append(("event:name", name))
        }
        return result
    }
}
