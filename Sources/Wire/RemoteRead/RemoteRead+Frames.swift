// SPDX-License-Identifier: Apache-2.0
// The streamed answer of remote read: series as frames of chunks.

import Base
import Telemetry

extension RemoteRead {
    /// Bytes of a frame above which another is begun. Source: Prometheus'
    /// `--storage.remote.read-max-bytes-in-frame`.
    private static let frameBytes = 1 << 20

    private struct Chunk {
        var firstMillis: Int64
        var lastMillis: Int64
        /// `prometheus.Chunk.Encoding`: 1 floats, 2 histograms of whole counts, 3 of floats.
        var encoding: UInt32
        var bytes: [UInt8]
    }

    /// The chunk being filled.
    private enum Open {
        case none
        case floats(XORChunk)
        case histograms(HistogramChunk)
    }

    /// Appends the frames of one series: varint length, CRC32C big-endian, message. Nothing for a
    /// series without samples.
    ///
    /// - Throws: `InvalidHistogram` when a histogram's spans do not cover its buckets.
    package static func appendFrames(
        _ labels: Labels, _ columns: SampleColumns, queryIndex: Int, into out: inout [UInt8]
    ) throws(InvalidHistogram) {
        var chunks: [Chunk] = []
        var bytes = 0
        var open = Open.none
        func close() {
            let chunk: Chunk
            switch open {
            case .none: return
            case .floats(let full):
                chunk = Chunk(
                    firstMillis: full.firstMillis, lastMillis: full.lastMillis, encoding: 1,
                    bytes: full.bytes)
            case .histograms(let full):
                chunk = Chunk(
                    firstMillis: full.firstMillis, lastMillis: full.lastMillis,
                    encoding: full.encoding, bytes: full.bytes)
            }
            open = .none
            bytes += chunk.bytes.count
            chunks.append(chunk)
            if bytes >= frameBytes {
                appendFrame(labels, chunks, queryIndex, into: &out)
                chunks = []
                bytes = 0
            }
        }
        for i in 0..<columns.count {
            let millis = columns.millis[i]
            if let histogram = columns.histograms.isEmpty ? nil : columns.histograms[i] {
                var isReset = false
                if case .histograms(var chunk) = open {
                    // The enum holds no second copy while the chunk grows.
                    open = .none
                    let outcome = chunk.append(millis: millis, histogram)
                    open = .histograms(chunk)
                    if outcome == .appended { continue }
                    isReset = outcome == .isReset
                }
                close()
                open = .histograms(
                    try HistogramChunk(millis: millis, histogram, isReset: isReset))
                continue
            }
            var chunk = XORChunk()
            if case .floats(let held) = open, !held.isFull {
                chunk = held
                open = .none
            } else {
                close()
            }
            chunk.append(millis: millis, columns.values[i])
            open = .floats(chunk)
        }
        close()
        if !chunks.isEmpty { appendFrame(labels, chunks, queryIndex, into: &out) }
    }

    private static func appendFrame(
        _ labels: Labels, _ chunks: [Chunk], _ queryIndex: Int, into out: inout [UInt8]
    ) {
        var writer = ProtobufWriter()
        let mark = writer.begin(1)
        writeLabels(labels, into: &writer)
        for chunk in chunks {
            writer.message(2) { message in
                message.int64(1, chunk.firstMillis)
                message.int64(2, chunk.lastMillis)
                message.uint32(3, chunk.encoding)
                message.bytes(4, chunk.bytes)
            }
        }
        writer.end(mark)
        writer.int64(2, Int64(queryIndex))
        var length = ProtobufWriter()
        length.rawVarint(UInt64(writer.count))
        out.append(contentsOf: length.bytes)
        withUnsafeBytes(of: crc32c(writer.bytes).bigEndian) { out.append(contentsOf: $0) }
        out.append(contentsOf: writer.bytes)
    }
}
