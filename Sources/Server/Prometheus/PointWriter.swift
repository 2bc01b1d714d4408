// SPDX-License-Identifier: Apache-2.0
// Points of floats as JSON: `[1435781430.781,"1.5"]`.

import Base

/// Writes points. The texts of times that series share are made once.
struct PointWriter: Sendable {
    /// What stands before the values of the times made last: `[1435781430.781,"`, each in as many
    /// bytes as the longest may need.
    private var heads: [UInt8] = []
    private var headCounts: [UInt8] = []
    /// The times they were made of.
    private var millis: [Int64] = []

    private static let headBytes = 32
    /// Times beyond which their texts are not kept.
    private static let maxKept = 1 << 14
    /// Points that are written at once.
    private static let blockCount = 64
    /// Most bytes of a point with its comma.
    private static let pointBytes = headBytes + floatTextCapacity + 3

    /// One point.
    func write(_ millis: Int64, _ value: Double, into json: inout JSONWriter) {
        json.written(capacity: PointWriter.pointBytes) { out in
            let i = PointWriter.writeHead(millis, to: out)
            return PointWriter.finish(value, from: i, to: out)
        }
    }

    /// The points in a range of the columns of a series.
    mutating func write(
        _ millis: [Int64], _ values: [Double], _ range: Range<Int>, into json: inout JSONWriter
    ) {
        let isKept = millis.count <= PointWriter.maxKept
        if isKept, !isCurrent(millis) { keep(millis) }
        var start = range.lowerBound
        while start < range.upperBound {
            let end = min(range.upperBound, start + PointWriter.blockCount)
            json.written(capacity: PointWriter.blockCount * PointWriter.pointBytes) { out in
                var i = 0
                for index in start..<end {
                    if index > start {
                        out[i] = UInt8(ascii: ",")
                        i &+= 1
                    }
                    i &+=
                        isKept
                        ? copyHead(index, to: out + i)
                        : PointWriter.writeHead(millis[index], to: out + i)
                    i = PointWriter.finish(values[index], from: i, to: out)
                }
                return i
            }
            start = end
        }
    }

    /// Series without gaps share the memory of their times.
    private func isCurrent(_ millis: [Int64]) -> Bool {
        millis.count == self.millis.count
            && millis.withUnsafeBufferPointer { $0.baseAddress }
                == self.millis.withUnsafeBufferPointer { $0.baseAddress }
    }

    private mutating func keep(_ millis: [Int64]) {
        self.millis = millis
        headCounts.removeAll(keepingCapacity: true)
        heads = [UInt8](unsafeUninitializedCapacity: millis.count * PointWriter.headBytes) {
            buffer, count in
            buffer.initialize(repeating: 0)
            count = buffer.count
            guard let base = buffer.baseAddress else { return }
            for (index, time) in millis.enumerated() {
                let written = PointWriter.writeHead(time, to: base + index * PointWriter.headBytes)
                headCounts.append(UInt8(written))
            }
        }
    }

    private func copyHead(_ index: Int, to out: UnsafeMutablePointer<UInt8>) -> Int {
        heads.withUnsafeBytes { heads in
            guard let base = heads.baseAddress else { return }
            UnsafeMutableRawPointer(out).copyMemory(
                from: base + index &* PointWriter.headBytes, byteCount: PointWriter.headBytes)
        }
        return Int(headCounts[index])
    }

    private static func writeHead(_ millis: Int64, to out: UnsafeMutablePointer<UInt8>) -> Int {
        out[0] = UInt8(ascii: "[")
        let i = 1 &+ writeSeconds(millis: millis, to: out + 1)
        out[i] = UInt8(ascii: ",")
        out[i &+ 1] = UInt8(ascii: "\"")
        return i &+ 2
    }

    private static func finish(
        _ value: Double, from start: Int, to out: UnsafeMutablePointer<UInt8>
    ) -> Int {
        let i = start &+ writeFloat(value, to: out + start)
        out[i] = UInt8(ascii: "\"")
        out[i &+ 1] = UInt8(ascii: "]")
        return i &+ 2
    }
}
