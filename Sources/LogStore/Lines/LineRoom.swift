// SPDX-License-Identifier: Apache-2.0
// Memory for taking the lines of block after block apart.

import Telemetry

/// Keeps what taking lines apart needs from block to block, so that the memory of one is still at hand
/// for the next. Belongs to one builder on one thread; grows to a few times the bytes of a block.
final class LineRoom {
    /// Values of many lines, one after the other.
    private(set) var values: UnsafeMutablePointer<ByteSlice>
    private var capacity = 4096
    /// How many are there.
    var valueCount = 0

    private var slices: UnsafeMutablePointer<ByteSlice>
    private var keys: UnsafeMutablePointer<UInt64>
    private var columnCapacity = 1
    private var surveyed: (survey: ValueSurvey, rows: Int)?

    init() {
        values = .allocate(capacity: capacity)
        slices = .allocate(capacity: columnCapacity)
        keys = .allocate(capacity: columnCapacity)
    }

    deinit {
        values.deallocate()
        slices.deallocate()
        keys.deallocate()
    }

    /// Where the next values go: memory for `n`.
    @inline(__always)
    func next(_ n: Int) -> UnsafeMutableRawPointer {
        if capacity &- valueCount < n { grow(n) }
        return UnsafeMutableRawPointer(values + valueCount)
    }

    private func grow(_ n: Int) {
        capacity = max(capacity * 2, valueCount + n)
        let larger = UnsafeMutablePointer<ByteSlice>.allocate(capacity: capacity)
        larger.update(from: values, count: valueCount)
        values.deallocate()
        values = larger
    }

    /// Memory for the values of a template by place; valid until it is asked for again.
    func columns(
        _ n: Int
    ) -> (slices: UnsafeMutablePointer<ByteSlice>, keys: UnsafeMutablePointer<UInt64>) {
        if n > columnCapacity {
            slices.deallocate()
            keys.deallocate()
            columnCapacity = n + n / 4
            slices = .allocate(capacity: columnCapacity)
            keys = .allocate(capacity: columnCapacity)
        }
        return (slices, keys)
    }

    /// - Parameter rows: most values of a column.
    func survey(rows: Int) -> ValueSurvey {
        if let surveyed, surveyed.rows >= rows { return surveyed.survey }
        let survey = ValueSurvey(rows: rows + rows / 4)
        surveyed = (survey, rows + rows / 4)
        return survey
    }
}
