// SPDX-License-Identifier: Apache-2.0
// Requests of Tempo's streaming querier.

import Base

/// Decoders of the request messages of `tempopb.StreamingQuerier`.
///
/// Fields that only Tempo's own parts exchange (blocks, pages, shards) are skipped, as are unknown
/// ones. Nothing but text is kept, so a message costs at most its own size. Source: grafana/tempo
/// `pkg/tempopb/tempo.proto`.
package enum TempoRequests {
    /// `SearchRequest`. Times in Unix seconds, durations in milliseconds; 0 = absent.
    package struct Search: Sendable, Equatable {
        /// In the order of the message.
        package var tags: [Tag] = []
        package var minDurationMillis: UInt32 = 0
        package var maxDurationMillis: UInt32 = 0
        package var limit: UInt32 = 0
        package var start: UInt32 = 0
        package var end: UInt32 = 0
        package var query = ""
        package var spansPerSpanSet: UInt32 = 0
    }

    package struct Tag: Sendable, Equatable {
        package var key: String
        package var value: String
    }

    /// `SearchTagsRequest`.
    package struct Tags: Sendable, Equatable {
        package var scope = ""
        package var query = ""
        package var start: UInt32 = 0
        package var end: UInt32 = 0
        package var limit: UInt32 = 0
    }

    /// `SearchTagValuesRequest`.
    package struct TagValues: Sendable, Equatable {
        package var name = ""
        package var query = ""
        package var start: UInt32 = 0
        package var end: UInt32 = 0
        package var limit: UInt32 = 0
    }

    /// `QueryRangeRequest` and, without step and what follows it, `QueryInstantRequest`. Times and
    /// step in nanoseconds; 0 = absent.
    package struct Metrics: Sendable, Equatable {
        package var query = ""
        package var start: UInt64 = 0
        package var end: UInt64 = 0
        package var step: UInt64 = 0
        package var exemplars: UInt32 = 0
        package var maxSeries: UInt32 = 0
    }

    package static func search(
        _ message: UnsafeRawBufferPointer
    ) throws(MalformedBytes) -> Search {
        var request = Search()
        try read(message) { (reader) throws(MalformedBytes) in
            switch reader.field {
            case 1: request.tags.append(try tag(reader.message()))
            case 2: request.minDurationMillis = try reader.number()
            case 3: request.maxDurationMillis = try reader.number()
            case 4: request.limit = try reader.number()
            case 5: request.start = try reader.number()
            case 6: request.end = try reader.number()
            case 8: request.query = try reader.text()
            case 9: request.spansPerSpanSet = try reader.number()
            default: try reader.skip()
            }
        }
        return request
    }

    package static func tags(_ message: UnsafeRawBufferPointer) throws(MalformedBytes) -> Tags {
        var request = Tags()
        try read(message) { (reader) throws(MalformedBytes) in
            switch reader.field {
            case 1: request.scope = try reader.text()
            case 2: request.query = try reader.text()
            case 3: request.start = try reader.number()
            case 4: request.end = try reader.number()
            case 5: request.limit = try reader.number()
            default: try reader.skip()
            }
        }
        return request
    }

    package static func tagValues(
        _ message: UnsafeRawBufferPointer
    ) throws(MalformedBytes) -> TagValues {
        var request = TagValues()
        try read(message) { (reader) throws(MalformedBytes) in
            switch reader.field {
            case 1: request.name = try reader.text()
            case 2: request.query = try reader.text()
            case 4: request.start = try reader.number()
            case 5: request.end = try reader.number()
            case 6: request.limit = try reader.number()
            default: try reader.skip()
            }
        }
        return request
    }

    package static func metrics(
        _ message: UnsafeRawBufferPointer
    ) throws(MalformedBytes) -> Metrics {
        var request = Metrics()
        try read(message) { (reader) throws(MalformedBytes) in
            switch reader.field {
            case 1: request.query = try reader.text()
            case 2: request.start = try reader.uint64()
            case 3: request.end = try reader.uint64()
            case 4: request.step = try reader.uint64()
            case 16: request.exemplars = try reader.number()
            case 17: request.maxSeries = try reader.number()
            default: try reader.skip()
            }
        }
        return request
    }

    private static func tag(_ message: ProtobufReader) throws(MalformedBytes) -> Tag {
        var message = message
        var tag = Tag(key: "", value: "")
        while try message.next() {
            switch message.field {
            case 1: tag.key = try message.text()
            case 2: tag.value = try message.text()
            default: try message.skip()
            }
        }
        return tag
    }

    private static func read(
        _ message: UnsafeRawBufferPointer,
        _ field: (inout ProtobufReader) throws(MalformedBytes) -> Void
    ) throws(MalformedBytes) {
        var reader = ProtobufReader(message)
        while try reader.next() { try field(&reader) }
    }
}

extension ProtobufReader {
    fileprivate mutating func text() throws(MalformedBytes) -> String {
        String(decoding: try bytes(), as: UTF8.self)
    }

    /// A 32-bit number; generated decoders cut what is larger.
    fileprivate mutating func number() throws(MalformedBytes) -> UInt32 {
        UInt32(truncatingIfNeeded: try uint64())
    }
}
