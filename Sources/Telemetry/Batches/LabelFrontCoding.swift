// SPDX-License-Identifier: Apache-2.0
// Label sets of a batch as what differs from the one before.

import Base

/// Label sets one after another: of each, how many bytes it shares with the start and with the end of
/// the one before, and the bytes between. Series of one scrape or request mostly differ in one
/// label, or in their name only, so a tenth of the bytes is left, at the cost of two comparisons.
///
///     n × (varint prefix | varint suffix | varint middle | bytes of the middle)
enum LabelFrontCoding {
    /// Most bytes that label sets may come to: slices hold 32-bit offsets, and a short input must
    /// not unfold to more than a request may hold.
    static let maxBytes = 1 << 31

    /// - Parameter sets: slices of `arena`.
    /// - Complexity: O(bytes), eight at a time.
    static func encode(
        _ sets: [LabelsRef], _ arena: UnsafeRawBufferPointer, into writer: inout ByteWriter
    ) {
        let most = sets.reduce(0) { $0 + Int($1.slice.count) + 3 * maxVarintBytes }
        let coded = [UInt8](unsafeUninitializedCapacity: most) { buffer, count in
            var target = Target(UnsafeMutableRawBufferPointer(buffer))
            var previous = UnsafeRawBufferPointer(start: nil, count: 0)
            for ref in sets {
                let set = UnsafeRawBufferPointer(rebasing: arena[ref.slice.range])
                let prefix = commonPrefix(previous, set)
                let suffix = commonSuffix(
                    previous, set, atMost: min(previous.count, set.count) &- prefix)
                target.varint(prefix)
                target.varint(suffix)
                target.varint(set.count &- prefix &- suffix)
                target.copy(
                    UnsafeRawBufferPointer(rebasing: set[prefix..<(set.count &- suffix)]))
                previous = set
            }
            count = target.count
        }
        writer.raw(coded)
    }

    /// Reads `n` sets.
    ///
    /// - Parameter total: bytes of all sets, which they have to come to; at most `maxBytes`.
    /// - Returns: the sets one after another, and where they lie.
    /// - Throws: `MalformedBytes`; also when a set is not canonical.
    static func decode(
        _ n: Int, total: Int, _ reader: inout ByteReader
    ) throws(MalformedBytes) -> (arena: [UInt8], sets: [LabelsRef]) {
        var sets: [LabelsRef] = []
        sets.reserveCapacity(n)
        var flaw: MalformedBytes?
        let arena = [UInt8](unsafeUninitializedCapacity: total) { buffer, count in
            var target = Target(UnsafeMutableRawBufferPointer(buffer))
            do throws(MalformedBytes) {
                for _ in 0..<n { sets.append(try next(&reader, &target)) }
                guard target.count == total else {
                    throw reader.malformed("labels of \(total) bytes")
                }
            } catch {
                flaw = error
            }
            count = target.count
        }
        if let flaw { throw flaw }
        return (arena, sets)
    }

    @inline(__always)
    private static func next(
        _ reader: inout ByteReader, _ target: inout Target
    ) throws(MalformedBytes) -> LabelsRef {
        let last = target.last
        let prefix = try reader.length(limit: last.count, "bytes shared with the start")
        let suffix = try reader.length(limit: last.count - prefix, "bytes shared with the end")
        let middle = try reader.lengthPrefixed()
        let count = prefix + middle.count + suffix
        guard target.room >= count else { throw reader.malformed("labels within their total") }
        let start = target.count
        target.copy(UnsafeRawBufferPointer(rebasing: last.prefix(prefix)))
        target.copy(middle)
        target.copy(UnsafeRawBufferPointer(rebasing: last.suffix(suffix)))
        target.last = target.written(from: start)
        guard isCanonicalLabels(target.last) else { throw reader.malformed("canonical labels") }
        return LabelsRef(
            slice: ByteSlice(offset: start, count: count), hash: hash64(target.last))
    }

    private static let maxVarintBytes = 10

    /// Memory that is filled from its start.
    private struct Target {
        private let memory: UnsafeMutableRawBufferPointer
        private(set) var count = 0
        /// The set written last.
        var last = UnsafeRawBufferPointer(start: nil, count: 0)

        init(_ memory: UnsafeMutableRawBufferPointer) { self.memory = memory }

        var room: Int { memory.count &- count }

        func written(from start: Int) -> UnsafeRawBufferPointer {
            UnsafeRawBufferPointer(rebasing: memory[start..<count])
        }

        /// - Parameter bytes: not more than there is room for.
        @inline(__always)
        mutating func copy(_ bytes: UnsafeRawBufferPointer) {
            guard let source = bytes.baseAddress, let base = memory.baseAddress else { return }
            (base + count).copyMemory(from: source, byteCount: bytes.count)
            count &+= bytes.count
        }

        @inline(__always)
        mutating func varint(_ value: Int) {
            var rest = UInt64(value)
            while rest >= 0x80 {
                memory[count] = UInt8(truncatingIfNeeded: rest) | 0x80
                count &+= 1
                rest &>>= 7
            }
            memory[count] = UInt8(truncatingIfNeeded: rest)
            count &+= 1
        }
    }

    @inline(__always)
    private static func word(_ bytes: UnsafeRawBufferPointer, _ at: Int) -> UInt64 {
        bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self).littleEndian
    }

    @inline(__always)
    static func commonPrefix(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Int {
        let limit = min(a.count, b.count)
        var i = 0
        while i &+ 8 <= limit {
            let difference = word(a, i) ^ word(b, i)
            if difference != 0 { return i &+ difference.trailingZeroBitCount &>> 3 }
            i &+= 8
        }
        while i < limit, a[i] == b[i] { i &+= 1 }
        return i
    }

    @inline(__always)
    static func commonSuffix(
        _ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer, atMost limit: Int
    ) -> Int {
        var i = 0
        while i &+ 8 <= limit {
            let difference = word(a, a.count &- i &- 8) ^ word(b, b.count &- i &- 8)
            if difference != 0 { return i &+ difference.leadingZeroBitCount &>> 3 }
            i &+= 8
        }
        while i < limit, a[a.count &- i &- 1] == b[b.count &- i &- 1] { i &+= 1 }
        return i
    }
}
