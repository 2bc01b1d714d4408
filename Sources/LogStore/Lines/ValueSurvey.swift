// SPDX-License-Identifier: Apache-2.0
// What is known of values before their coding is chosen.

import Base
import Telemetry

/// Looks at the values of one column after the other; its memory is made once for all columns of a
/// block.
final class ValueSurvey {
    /// What one column is like.
    struct Facts {
        var isDecimal = true
        /// Whether a number has zeros in front.
        var isPadded = false
        /// Whether all are digits and a–f.
        var isHex = true
        var leastCount = Int.max
        var mostCount = 0
        var textBytes = 0
        /// Distinct values, as long as an index of theirs fits a byte.
        var distinctCount = 0
        var distinctBytes = 0
        var fitsDictionary = true
    }

    private static let slotCount = 1024
    /// Number of a distinct value + 1; 0 = free.
    private let slots: UnsafeMutablePointer<UInt16>
    /// The distinct values in order of appearance, the slot of each, and its key: up to eight bytes
    /// as they are, else their hash.
    private let values: UnsafeMutablePointer<ByteSlice>
    private let usedSlots: UnsafeMutablePointer<UInt16>
    private let keys: UnsafeMutablePointer<UInt64>
    private let numbers: UnsafeMutablePointer<UInt64>
    private let indices: UnsafeMutablePointer<UInt8>
    private let packed: UnsafeMutableRawPointer

    /// - Parameter rows: most values of a column.
    init(rows: Int) {
        slots = .allocate(capacity: ValueSurvey.slotCount)
        slots.initialize(repeating: 0, count: ValueSurvey.slotCount)
        values = .allocate(capacity: LogFormat.Value.maxDictionary)
        usedSlots = .allocate(capacity: LogFormat.Value.maxDictionary)
        keys = .allocate(capacity: LogFormat.Value.maxDictionary)
        numbers = .allocate(capacity: rows)
        indices = .allocate(capacity: rows)
        packed = .allocate(byteCount: rows * 10, alignment: 16)
    }

    deinit {
        slots.deallocate()
        values.deallocate()
        usedSlots.deallocate()
        keys.deallocate()
        numbers.deallocate()
        indices.deallocate()
        packed.deallocate()
    }

    /// Looks at a column. O(bytes), without allocation.
    func look(at column: UnsafeBufferPointer<ByteSlice>, _ text: UnsafeRawBufferPointer) -> Facts {
        var facts = Facts()
        guard let base = text.baseAddress else {
            // Values without a byte: all the same.
            values[0] = .empty
            facts.distinctCount = 1
            facts.leastCount = 0
            facts.isDecimal = false
            facts.isHex = false
            return facts
        }
        for row in column.indices {
            let value = column[row]
            let n = Int(value.count)
            let start = base + Int(value.offset)
            facts.textBytes &+= n
            facts.leastCount = min(facts.leastCount, n)
            facts.mostCount = max(facts.mostCount, n)
            if facts.isHex { numbers[row] = ValueSurvey.number(start, n, &facts) }
            guard facts.fitsDictionary else { continue }
            let readable = text.count &- Int(value.offset)
            let index = number(of: value, start, readable, base, &facts)
            if index < 0 { facts.fitsDictionary = false }
            indices[row] = UInt8(truncatingIfNeeded: index)
        }
        for number in 0..<facts.distinctCount { slots[Int(usedSlots[number])] = 0 }
        return facts
    }

    /// The value as a number, where it is one; notes what kind of digits it has.
    @inline(__always)
    private static func number(
        _ start: UnsafeRawPointer, _ n: Int, _ facts: inout Facts
    ) -> UInt64 {
        var number: UInt64 = 0
        var i = 0
        while i < n {
            let digit = start.load(fromByteOffset: i, as: UInt8.self) &- UInt8(ascii: "0")
            if digit > 9 { break }
            number = number &* 10 &+ UInt64(digit)
            i &+= 1
        }
        if n > 1, start.load(as: UInt8.self) == UInt8(ascii: "0") { facts.isPadded = true }
        if i == n { return number }
        facts.isDecimal = false
        while i < n {
            let byte = start.load(fromByteOffset: i, as: UInt8.self)
            if byte &- UInt8(ascii: "0") > 9, byte &- UInt8(ascii: "a") > 5 {
                facts.isHex = false
                break
            }
            i &+= 1
        }
        return number
    }

    /// Number of a value among the distinct ones, which it joins when it is new; -1 when they are
    /// full.
    @inline(__always)
    private func number(
        of value: ByteSlice, _ start: UnsafeRawPointer, _ readable: Int, _ base: UnsafeRawPointer,
        _ facts: inout Facts
    ) -> Int {
        let n = Int(value.count)
        var key: UInt64 = 0
        if n > 8 {
            key = hash64(UnsafeRawBufferPointer(start: start, count: n))
        } else if readable >= 8 {
            key = start.loadUnaligned(as: UInt64.self).littleEndian
            if n < 8 { key &= (1 &<< UInt64(8 &* n)) &- 1 }
        } else {
            for i in 0..<n {
                key |= UInt64(start.load(fromByteOffset: i, as: UInt8.self)) &<< UInt64(8 &* i)
            }
        }
        var slot = Int(truncatingIfNeeded: (key &* 0x9e37_79b9_7f4a_7c15) &>> 54)
        while slots[slot] != 0 {
            let number = Int(slots[slot]) &- 1
            if keys[number] == key, values[number].count == value.count,
                n <= 8
                    || equalBytes(
                        UnsafeRawBufferPointer(start: start, count: n),
                        UnsafeRawBufferPointer(start: base + Int(values[number].offset), count: n))
            {
                return number
            }
            slot = (slot &+ 1) & (ValueSurvey.slotCount &- 1)
        }
        let number = facts.distinctCount
        if number == LogFormat.Value.maxDictionary { return -1 }
        values[number] = value
        keys[number] = key
        usedSlots[number] = UInt16(truncatingIfNeeded: slot)
        slots[slot] = UInt16(truncatingIfNeeded: number &+ 1)
        facts.distinctCount = number &+ 1
        facts.distinctBytes &+= n &+ 1
        return number
    }

    // MARK: - Of the column looked at

    /// The distinct values in order of appearance.
    func distinct(_ facts: Facts) -> UnsafeBufferPointer<ByteSlice> {
        UnsafeBufferPointer(start: values, count: facts.distinctCount)
    }

    /// Bytes that numbers and their differences take.
    func costs(_ n: Int) -> (plain: Int, delta: Int) {
        var plain = 0, delta = 0
        var previous: UInt64 = 0
        for row in 0..<n {
            let number = numbers[row]
            plain &+= ByteWriter.varintCount(number)
            delta &+= ByteWriter.varintCount(
                ByteWriter.zigzag(Int64(bitPattern: number &- previous)))
            previous = number
        }
        return (plain, delta)
    }

    /// Index of each value among the distinct ones.
    func indexBytes(_ n: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: indices, count: n)
    }

    /// The numbers, or each one's distance to the one before, from 0, as varints.
    func varints(_ n: Int, isDelta: Bool) -> UnsafeRawBufferPointer {
        var count = 0
        var previous: UInt64 = 0
        for row in 0..<n {
            let number = numbers[row]
            var rest =
                isDelta ? ByteWriter.zigzag(Int64(bitPattern: number &- previous)) : number
            previous = number
            while rest >= 0x80 {
                packed.storeBytes(
                    of: UInt8(truncatingIfNeeded: rest) | 0x80, toByteOffset: count,
                    as: UInt8.self)
                rest &>>= 7
                count &+= 1
            }
            packed.storeBytes(
                of: UInt8(truncatingIfNeeded: rest), toByteOffset: count, as: UInt8.self)
            count &+= 1
        }
        return UnsafeRawBufferPointer(start: packed, count: count)
    }
}
