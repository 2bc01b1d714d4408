// SPDX-License-Identifier: Apache-2.0
// Reads the values at one place of one template.

import Base

/// Reads the values of a column one after the other, as text.
struct ValueCursor {
    private let kind: UInt8
    /// Numbers, indices, lengths or binary values.
    private var reader: ByteReader
    /// Of strings.
    private var text: ByteReader
    /// The values of a dictionary, or the one constant.
    private var values: [UnsafeRawBufferPointer] = []
    /// Digits of a padded number, 0 = not padded; bytes of a binary value.
    private var width = 0
    private var previous: UInt64 = 0

    /// Reads the values of a column that was found.
    ///
    /// - Throws: `MalformedBytes`; numbers and indices are checked when they are read.
    init(_ view: ValueView) throws(MalformedBytes) {
        kind = view.kind
        text = ByteReader(UnsafeRawBufferPointer(start: nil, count: 0))
        reader = view.values
        switch kind {
        case LogFormat.Value.constant: values = [try reader.lengthPrefixed()]
        case LogFormat.Value.dictionary:
            let count = try reader.length(limit: LogFormat.Value.maxDictionary, "values")
            for _ in 0..<count { values.append(try reader.lengthPrefixed()) }
        case LogFormat.Value.strings: text = view.text
        case LogFormat.Value.numbers, LogFormat.Value.deltas:
            width = Int(try reader.u8())
            guard width <= LogFormat.Value.maxDigits else {
                throw reader.malformed("at most \(LogFormat.Value.maxDigits) digits")
            }
        case LogFormat.Value.hex:
            width = try reader.length(limit: reader.remaining, "bytes of a value")
        default: break
        }
    }

    /// Writes the next value.
    ///
    /// - Parameter ids: of the value's row, when `needsIDs`.
    /// - Throws: `MalformedBytes`, also when `out` is full.
    @inline(__always)
    mutating func next(
        into out: inout LineBuffer, ids: @autoclosure () -> RowIDs
    ) throws(MalformedBytes) {
        switch kind {
        case LogFormat.Value.constant: try out.append(values[0])
        case LogFormat.Value.dictionary:
            let index = Int(try reader.u8())
            guard index < values.count else { throw reader.malformed("number of a value") }
            try out.append(values[index])
        case LogFormat.Value.strings:
            let length = try reader.length(limit: text.remaining, "length of a value")
            try out.append(try text.bytes(length))
        case LogFormat.Value.numbers: try out.append(try reader.varint(), width: width)
        case LogFormat.Value.deltas:
            previous = previous &+ UInt64(bitPattern: try reader.zigzag())
            try out.append(previous, width: width)
        case LogFormat.Value.hex: try out.append(hex: try reader.bytes(width))
        case LogFormat.Value.traceID:
            let id = ids()
            try out.append(hex: id.traceHigh)
            try out.append(hex: id.traceLow)
        default: try out.append(hex: ids().span)
        }
    }

    /// Passes over values.
    ///
    /// - Parameter n: no more than are left.
    mutating func skip(_ n: Int) throws(MalformedBytes) {
        switch kind {
        case LogFormat.Value.dictionary: try reader.skip(n)
        case LogFormat.Value.strings: try text.skip(try reader.sumOfVarints(n))
        case LogFormat.Value.numbers: try reader.skipVarints(n)
        case LogFormat.Value.deltas:
            for _ in 0..<n { previous = previous &+ UInt64(bitPattern: try reader.zigzag()) }
        case LogFormat.Value.hex: try reader.skip(n * width)
        default: break
        }
    }
}
