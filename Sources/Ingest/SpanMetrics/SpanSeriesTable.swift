// SPDX-License-Identifier: Apache-2.0
// Counters and histograms by label values.

import Base
import Telemetry

/// Metrics that all have the same labels.
struct SpanSeriesShape: Sendable {
    struct Family: Sendable {
        var name: String
        var help: String
    }
    var counters: [Family]
    var histograms: [Family]
    var bounds: [Double]
    var kind: SpanMetricsSettings.Histograms
    /// Names of the labels whose values a key holds, in its order.
    var labelNames: [String]

    /// Series of one set of label values, if every metric of it is written.
    var seriesPerCell: Int {
        let classic = kind == .native ? 0 : bounds.count + 3
        let native = kind == .classic ? 0 : 1
        return counters.count + histograms.count * (classic + native)
    }
}

/// The span behind a bucket.
struct SpanExemplar: Sendable {
    var traceID: TraceID
    var seconds: Double
    var millis: Int64
}

/// Label values with their hash: bytes that the standard hasher would take one by one.
struct SpanSeriesKey: Hashable, Sendable {
    let bytes: [UInt8]
    private let hash: UInt64

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        hash = bytes.withUnsafeBytes { hash64($0) }
    }

    static func == (a: SpanSeriesKey, b: SpanSeriesKey) -> Bool {
        a.hash == b.hash && a.bytes == b.bytes
    }
    func hash(into hasher: inout Hasher) { hasher.combine(hash) }
}

/// Values by label values, up to a number of series; what finds no room is counted together.
///
/// A key is the list of label values, each preceded by its length as a varint.
struct SpanSeriesTable: Sendable {
    struct Counter: Sendable {
        var value = 0.0
        var labels: Labels?
        var first = FirstWrite()
    }

    struct Histogram: Sendable {
        /// By bucket, the last one for what is above all bounds; not cumulative.
        var counts: [Double] = []
        var exemplars: [SpanExemplar?] = []
        var sum = 0.0
        var native: SparseHistogram?
        /// Of buckets, sum, count; then of the native histogram.
        var labels: [Labels] = []
        var first = FirstWrite()

        var isEmpty: Bool { counts.isEmpty }
    }

    /// When a series was written first.
    struct FirstWrite: Sendable {
        /// Number of that batch; 0 = not yet.
        var round: UInt64 = 0
        /// From when it counts.
        var startMillis: Int64 = 0
    }

    struct Cell: Sendable {
        var key: SpanSeriesKey
        var counters: [Counter]
        var histograms: [Histogram]
        var touchedMillis: Int64 = 0
    }

    let shape: SpanSeriesShape
    private var numbers: [SpanSeriesKey: Int] = [:]
    private(set) var cells: [Cell?] = []
    private var free: [Int] = []
    /// Where that goes for which there is no room.
    private var overflow: Int?

    init(_ shape: SpanSeriesShape) { self.shape = shape }

    /// Sets of label values at hand.
    var cellCount: Int { cells.count - free.count }

    /// Number of the cell of a key, which is made if there is room. Nil = there is none.
    mutating func cell(_ bytes: [UInt8], millis: Int64, hasRoom: Bool) -> Int? {
        let key = SpanSeriesKey(bytes)
        if let known = numbers[key] {
            cells[known]?.touchedMillis = millis
            return known
        }
        return hasRoom ? add(key, millis) : nil
    }

    /// The cell of what finds no room.
    mutating func overflowCell(millis: Int64) -> Int {
        if let overflow {
            cells[overflow]?.touchedMillis = millis
            return overflow
        }
        let number = add(nil, millis)
        overflow = number
        return number
    }

    private mutating func add(_ key: SpanSeriesKey?, _ millis: Int64) -> Int {
        let cell = Cell(
            key: key ?? SpanSeriesKey([]), counters: shape.counters.map { _ in Counter() },
            histograms: shape.histograms.map { _ in Histogram() }, touchedMillis: millis)
        let number: Int
        if let last = free.popLast() {
            number = last
            cells[number] = cell
        } else {
            number = cells.count
            cells.append(cell)
        }
        if let key { numbers[key] = number }
        return number
    }

    mutating func add(_ weight: Double, counter: Int, of cell: Int) {
        cells[cell]?.counters[counter].value += weight
    }

    /// Counts an observation of a histogram.
    mutating func observe(
        _ exemplar: SpanExemplar, weight: Double, histogram: Int, of cell: Int
    ) {
        cells[cell]?.histograms[histogram].observe(exemplar, weight, shape)
    }

    mutating func remove(_ number: Int) {
        guard let cell = cells[number] else { return }
        if overflow == number { overflow = nil } else { numbers[cell.key] = nil }
        cells[number] = nil
        free.append(number)
    }

    /// Lets `body` write a cell.
    mutating func update(_ number: Int, _ body: (inout Cell, _ isOverflow: Bool) -> Void) {
        let isOverflow = overflow == number
        guard cells[number] != nil else { return }
        // In place: a cell that is taken out is not copied.
        guard var cell = cells[number].take() else { return }
        body(&cell, isOverflow)
        cells[number] = cell
    }
}

extension SpanSeriesTable.Histogram {
    fileprivate mutating func observe(
        _ exemplar: SpanExemplar, _ weight: Double, _ shape: SpanSeriesShape
    ) {
        if counts.isEmpty {
            counts = [Double](repeating: 0, count: shape.bounds.count + 1)
            exemplars = [SpanExemplar?](repeating: nil, count: shape.bounds.count + 1)
            if shape.kind != .classic { native = SparseHistogram(schema: 3) }
        }
        let bucket = shape.bounds.firstIndex { exemplar.seconds <= $0 } ?? shape.bounds.count
        counts[bucket] += weight
        exemplars[bucket] = exemplar
        sum += exemplar.seconds * weight
        native?.observe(exemplar.seconds, weight: weight)
    }
}
