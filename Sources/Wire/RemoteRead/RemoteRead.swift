// SPDX-License-Identifier: Apache-2.0
// Remote read: prometheus.ReadRequest and its two kinds of answer.

import Base
import Telemetry

/// Prometheus' remote read protocol, both kinds of answer. Bodies come and go without snappy.
///
/// Source: prometheus/prometheus `prompb/remote.proto`, `prompb/types.proto`,
/// `storage/remote/chunked.go`.
package enum RemoteRead {
    package enum ResponseType: UInt32, Sendable {
        /// One `ReadResponse`, snappy-compressed.
        case samples = 0
        /// Frames of `ChunkedReadResponse`.
        case streamedXORChunks = 1
    }

    /// One selection of a request. Times in milliseconds, both ends inclusive.
    package struct Query: Sendable, Equatable {
        package var startMillis: Int64 = 0
        package var endMillis: Int64 = 0
        package var matchers: [LabelMatcher] = []
    }

    package struct Request: Sendable, Equatable {
        package var queries: [Query] = []
        /// As sent, unknown ones too; empty means samples.
        package var acceptedTypes: [UInt32] = []

        /// The first type that we serve; nil when there is none.
        package var responseType: ResponseType? {
            if acceptedTypes.isEmpty { return .samples }
            return acceptedTypes.lazy.compactMap { ResponseType(rawValue: $0) }.first
        }
    }

    /// What is wrong with a request beyond its bytes.
    package struct InvalidMatcher: Error, Sendable, CustomStringConvertible {
        package var description: String
    }

    /// Most queries, and most matchers of one query.
    package static let maxQueries = 1000

    /// - Throws: `MalformedBytes`, or `InvalidMatcher` for an unknown type or a bad pattern.
    package static func decode(_ plain: UnsafeRawBufferPointer) throws -> Request {
        var request = Request()
        var reader = ProtobufReader(plain)
        while try reader.next() {
            switch reader.field {
            case 1:
                guard request.queries.count < maxQueries else {
                    throw reader.malformed("at most \(maxQueries) queries")
                }
                request.queries.append(try query(reader.message()))
            case 2: try reader.repeatedUInt32(into: &request.acceptedTypes, limit: 64)
            default: try reader.skip()
            }
        }
        return request
    }

    private static func query(_ message: ProtobufReader) throws -> Query {
        var message = message
        var query = Query()
        while try message.next() {
            switch message.field {
            case 1: query.startMillis = try message.int64()
            case 2: query.endMillis = try message.int64()
            case 3:
                guard query.matchers.count < maxQueries else {
                    throw message.malformed("at most \(maxQueries) matchers")
                }
                query.matchers.append(try matcher(message.message()))
            default: try message.skip()
            }
        }
        return query
    }

    private static func matcher(_ message: ProtobufReader) throws -> LabelMatcher {
        var message = message
        var type: UInt32 = 0
        var name = "", value = ""
        while try message.next() {
            switch message.field {
            case 1: type = try message.uint32()
            case 2: name = String(decoding: try message.bytes(), as: UTF8.self)
            case 3: value = String(decoding: try message.bytes(), as: UTF8.self)
            default: try message.skip()
            }
        }
        guard let operation = UInt8(exactly: type).flatMap(LabelMatcher.Operation.init) else {
            throw InvalidMatcher(description: "invalid matcher type \(type)")
        }
        return try LabelMatcher(name, operation, value)
    }

    // MARK: Samples

    /// Appends a `TimeSeries` to the message of one `QueryResult`.
    package static func writeSeries(
        _ labels: Labels, _ columns: SampleColumns, into result: inout ProtobufWriter
    ) {
        let mark = result.begin(1)
        writeLabels(labels, into: &result)
        for i in 0..<columns.count where columns.histograms.isEmpty || columns.histograms[i] == nil
        {
            result.message(2) { sample in
                sample.double(1, columns.values[i])
                sample.int64(2, columns.millis[i])
            }
        }
        for i in columns.histograms.indices {
            guard let histogram = columns.histograms[i] else { continue }
            let mark = result.begin(4)
            histogram.write(millis: columns.millis[i], startMillis: 0, into: &result)
            result.end(mark)
        }
        result.end(mark)
    }

    static func writeLabels(_ labels: Labels, into writer: inout ProtobufWriter) {
        labels.forEachBytes { name, value in
            writer.message(1) { label in
                label.bytes(1, name)
                label.bytes(2, value)
            }
        }
    }
}
