// SPDX-License-Identifier: Apache-2.0
// One column of `stats` while lines are added to it.

import Base

/// Reads a number or a text out of a label.
struct StatsValueReader {
    private let label: SharedBytes
    private let conversion: UnwrapSyntax.Conversion?

    init(_ value: StatsValue) {
        label = SharedBytes(Array(value.label.utf8))
        conversion = value.conversion
    }

    /// The label's text; nil where the line lacks it or it is empty.
    func text(_ state: LineState) -> Bytes? {
        guard let text = state.value(of: label.buffer), !text.isEmpty else { return nil }
        return text
    }

    /// The text as a number; nil when it is none.
    func number(_ text: Bytes) -> Double? {
        switch conversion {
        case nil: numberOfText(text)
        case .bytes: ByteSize.parse(text.text).map(Double.init)
        case .duration, .durationSeconds:
            (try? parseGoDuration(text.text)).map { Double($0) / 1e9 }
        }
    }
}

/// A plain number, else a duration in seconds, else a size in bytes.
func numberOfText(_ text: Bytes) -> Double? {
    if let number = parseFloat(text) { return number }
    // Durations and sizes begin with a digit, a sign or a point: most texts end here.
    guard let first = text.first, first <= UInt8(ascii: "9"), let last = text.last,
        isASCIILetter(last)
    else { return nil }
    if let nanos = try? parseGoDuration(text.text) { return Double(nanos) / 1e9 }
    return ByteSize.parse(text.text).map(Double.init)
}

/// Sums and the like by slot; a slot is a group in a bucket of time.
///
/// 8 to 24 bytes a slot; `median` and `quantile` keep 8 bytes a line besides, `count_uniq` the
/// distinct texts.
struct StatsColumn {
    let function: StatsFunction
    let reader: StatsValueReader?
    /// Lines whose label is no number.
    private(set) var unreadable = 0
    private var counts: [Int] = []
    private var first: [Double] = []
    private var second: [Double] = []
    private var times: [Int64] = []
    private var values: [[Double]] = []
    private var texts = LabelSetTable()
    private var key: [UInt8] = []

    init(_ function: StatsFunction) {
        self.function = function
        reader = function.value.map(StatsValueReader.init)
    }

    /// Bytes that each slot costs, without kept values.
    var slotByteCount: Int {
        switch function.operation {
        case .count, .bytes, .countUnique: 8
        case .sum, .avg, .min, .max: 16
        case .stddev, .stdvar, .first, .last: 24
        case .median, .quantile: 16
        }
    }

    mutating func grow(to slots: Int) {
        let added = slots - counts.count
        counts.append(contentsOf: repeatElement(0, count: added))
        switch function.operation {
        case .count, .bytes, .countUnique: break
        case .sum, .avg, .min, .max: first.append(contentsOf: repeatElement(0, count: added))
        case .stddev, .stdvar:
            first.append(contentsOf: repeatElement(0, count: added))
            second.append(contentsOf: repeatElement(0, count: added))
        case .first, .last:
            first.append(contentsOf: repeatElement(0, count: added))
            times.append(contentsOf: repeatElement(0, count: added))
        case .median, .quantile: values.append(contentsOf: repeatElement([], count: added))
        }
    }

    /// Adds a line to a slot.
    ///
    /// - Returns: bytes that are held from now on.
    mutating func add(_ state: LineState, _ slot: Int) -> Int {
        guard let reader else {
            counts[slot] += function.operation == .bytes ? state.line.count : 1
            return 0
        }
        guard let text = reader.text(state) else { return 0 }
        switch function.operation {
        case .count:
            counts[slot] += 1
            return 0
        case .countUnique: return addText(text, slot)
        default: break
        }
        guard let value = reader.number(text) else {
            unreadable += 1
            return 0
        }
        counts[slot] += 1
        return addNumber(value, state.nanos, slot)
    }

    private mutating func addText(_ text: Bytes, _ slot: Int) -> Int {
        key.removeAll(keepingCapacity: true)
        withUnsafeBytes(of: UInt64(slot).littleEndian) { key.append(contentsOf: $0) }
        key.append(contentsOf: text)
        let known = texts.count
        guard texts.index(of: key) == known else { return 0 }
        counts[slot] += 1
        return key.count + 40
    }

    private mutating func addNumber(_ value: Double, _ nanos: Int64, _ slot: Int) -> Int {
        let isFirst = counts[slot] == 1
        switch function.operation {
        case .sum, .avg: first[slot] += value
        case .min: if isFirst || value < first[slot] || first[slot].isNaN { first[slot] = value }
        case .max: if isFirst || value > first[slot] || first[slot].isNaN { first[slot] = value }
        case .stddev, .stdvar:
            // Welford's recurrence.
            let delta = value - first[slot]
            first[slot] += delta / Double(counts[slot])
            second[slot] += delta * (value - first[slot])
        case .first:
            if isFirst || nanos < times[slot] { (first[slot], times[slot]) = (value, nanos) }
        case .last:
            if isFirst || nanos >= times[slot] { (first[slot], times[slot]) = (value, nanos) }
        case .median, .quantile:
            values[slot].append(value)
            return 8
        case .count, .bytes, .countUnique: break
        }
        return 0
    }

    /// The slot's number; nil when no line gave it one.
    func result(_ slot: Int) -> Double? {
        let count = counts[slot]
        switch function.operation {
        case .count, .bytes, .countUnique: return Double(count)
        default: if count == 0 { return nil }
        }
        switch function.operation {
        case .avg: return first[slot] / Double(count)
        case .stdvar: return second[slot] / Double(count)
        case .stddev: return (second[slot] / Double(count)).squareRoot()
        case .median: return quantile(0.5, values[slot])
        case .quantile: return quantile(function.parameter, values[slot])
        default: return first[slot]
        }
    }
}
