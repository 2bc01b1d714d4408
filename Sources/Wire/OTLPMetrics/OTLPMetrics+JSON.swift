// SPDX-License-Identifier: Apache-2.0
// OTLP metrics from JSON.

import Base
import Telemetry

/// Messages of `ExportMetricsServiceRequest` in JSON. Source: opentelemetry-proto `metrics/v1`,
/// `common/v1`, `resource/v1`. Fields that decide nothing here are left out, and so ignored.
private enum MetricsSchema: JSONSchema {
    case request, resourceMetrics, resource, scopeMetrics, scope, metric, gauge, sum, histogram
    case exponentialHistogram, summary, numberPoint, histogramPoint, exponentialPoint
    case exponentialBuckets, summaryPoint, quantile, exemplar, keyValue, anyValue, arrayValue, map

    private typealias Field = JSONField<MetricsSchema>

    var fields: [JSONField<MetricsSchema>] {
        switch self {
        case .request: Self.requestFields
        case .resourceMetrics: Self.resourceMetricsFields
        case .resource: Self.resourceFields
        case .scopeMetrics: Self.scopeMetricsFields
        case .scope: Self.scopeFields
        case .metric: Self.metricFields
        case .gauge: Self.gaugeFields
        case .sum: Self.sumFields
        case .histogram: Self.histogramFields
        case .exponentialHistogram: Self.exponentialHistogramFields
        case .summary: Self.summaryFields
        case .numberPoint: Self.numberPointFields
        case .histogramPoint: Self.histogramPointFields
        case .exponentialPoint: Self.exponentialPointFields
        case .exponentialBuckets: Self.exponentialBucketsFields
        case .summaryPoint: Self.summaryPointFields
        case .quantile: Self.quantileFields
        case .exemplar: Self.exemplarFields
        case .keyValue: Self.keyValueFields
        case .anyValue: Self.anyValueFields
        case .arrayValue: Self.arrayValueFields
        case .map: Self.mapFields
        }
    }

    private static let requestFields = [
        Field("resourceMetrics", 1, .message(.resourceMetrics), repeated: true)
    ]
    private static let resourceMetricsFields = [
        Field("resource", 1, .message(.resource)),
        Field("scopeMetrics", 2, .message(.scopeMetrics), repeated: true),
    ]
    private static let resourceFields = [
        Field("attributes", 1, .message(.keyValue), repeated: true)
    ]
    private static let scopeMetricsFields = [
        Field("scope", 1, .message(.scope)),
        Field("metrics", 2, .message(.metric), repeated: true),
        Field("schemaUrl", 3, .string),
    ]
    private static let scopeFields = [
        Field("name", 1, .string), Field("version", 2, .string),
        Field("attributes", 3, .message(.keyValue), repeated: true),
    ]
    private static let metricFields = [
        Field("name", 1, .string), Field("description", 2, .string), Field("unit", 3, .string),
        Field("gauge", 5, .message(.gauge)), Field("sum", 7, .message(.sum)),
        Field("histogram", 9, .message(.histogram)),
        Field("exponentialHistogram", 10, .message(.exponentialHistogram)),
        Field("summary", 11, .message(.summary)),
    ]
    private static let gaugeFields = [
        Field("dataPoints", 1, .message(.numberPoint), repeated: true)
    ]
    private static let temporality = Field(
        "aggregationTemporality", 2,
        .enumeration([
            "AGGREGATION_TEMPORALITY_UNSPECIFIED", "AGGREGATION_TEMPORALITY_DELTA",
            "AGGREGATION_TEMPORALITY_CUMULATIVE",
        ]))
    private static let sumFields = [
        Field("dataPoints", 1, .message(.numberPoint), repeated: true), temporality,
        Field("isMonotonic", 3, .bool),
    ]
    private static let histogramFields = [
        Field("dataPoints", 1, .message(.histogramPoint), repeated: true), temporality,
    ]
    private static let exponentialHistogramFields = [
        Field("dataPoints", 1, .message(.exponentialPoint), repeated: true), temporality,
    ]
    private static let summaryFields = [
        Field("dataPoints", 1, .message(.summaryPoint), repeated: true)
    ]
    private static let numberPointFields = [
        Field("startTimeUnixNano", 2, .fixed64), Field("timeUnixNano", 3, .fixed64),
        Field("asDouble", 4, .double, explicit: true),
        Field("exemplars", 5, .message(.exemplar), repeated: true),
        Field("asInt", 6, .sfixed64, explicit: true),
        Field("attributes", 7, .message(.keyValue), repeated: true), Field("flags", 8, .uint32),
    ]
    private static let histogramPointFields = [
        Field("startTimeUnixNano", 2, .fixed64), Field("timeUnixNano", 3, .fixed64),
        Field("count", 4, .fixed64), Field("sum", 5, .double, explicit: true),
        Field("bucketCounts", 6, .fixed64, repeated: true),
        Field("explicitBounds", 7, .double, repeated: true),
        Field("exemplars", 8, .message(.exemplar), repeated: true),
        Field("attributes", 9, .message(.keyValue), repeated: true), Field("flags", 10, .uint32),
    ]
    private static let exponentialPointFields = [
        Field("attributes", 1, .message(.keyValue), repeated: true),
        Field("startTimeUnixNano", 2, .fixed64), Field("timeUnixNano", 3, .fixed64),
        Field("count", 4, .fixed64), Field("sum", 5, .double, explicit: true),
        Field("scale", 6, .sint32), Field("zeroCount", 7, .fixed64),
        Field("positive", 8, .message(.exponentialBuckets)),
        Field("negative", 9, .message(.exponentialBuckets)), Field("flags", 10, .uint32),
        Field("exemplars", 11, .message(.exemplar), repeated: true),
        Field("zeroThreshold", 14, .double),
    ]
    private static let exponentialBucketsFields = [
        Field("offset", 1, .sint32), Field("bucketCounts", 2, .uint64, repeated: true),
    ]
    private static let summaryPointFields = [
        Field("startTimeUnixNano", 2, .fixed64), Field("timeUnixNano", 3, .fixed64),
        Field("count", 4, .fixed64), Field("sum", 5, .double),
        Field("quantileValues", 6, .message(.quantile), repeated: true),
        Field("attributes", 7, .message(.keyValue), repeated: true), Field("flags", 8, .uint32),
    ]
    private static let quantileFields = [
        Field("quantile", 1, .double), Field("value", 2, .double),
    ]
    private static let exemplarFields = [
        Field("timeUnixNano", 2, .fixed64), Field("asDouble", 3, .double, explicit: true),
        Field("spanId", 4, .hex), Field("traceId", 5, .hex),
        Field("asInt", 6, .sfixed64, explicit: true),
        Field("filteredAttributes", 7, .message(.keyValue), repeated: true),
    ]
    private static let keyValueFields = [
        Field("key", 1, .string), Field("value", 2, .message(.anyValue)),
    ]
    private static let anyValueFields = [
        Field("stringValue", 1, .string, explicit: true),
        Field("boolValue", 2, .bool, explicit: true), Field("intValue", 3, .int64, explicit: true),
        Field("doubleValue", 4, .double, explicit: true),
        Field("arrayValue", 5, .message(.arrayValue)), Field("kvlistValue", 6, .message(.map)),
        Field("bytesValue", 7, .base64, explicit: true),
    ]
    private static let arrayValueFields = [
        Field("values", 1, .message(.anyValue), repeated: true)
    ]
    private static let mapFields = [
        Field("values", 1, .message(.keyValue), repeated: true)
    ]
}

extension OTLPMetrics {
    /// Decodes an `ExportMetricsServiceRequest` in OTLP's JSON.
    ///
    /// - Throws: `MalformedJSON` when the text is not such an object or nests too deep;
    ///   `MalformedBytes` when the request exceeds a limit.
    package static func decodeJSON(
        _ body: UnsafeRawBufferPointer, _ options: Options = Options()
    ) throws -> DecodedMetrics {
        let message = try transcode(body)
        return try message.withUnsafeBytes { try decodeProtobuf($0, options) }
    }

    /// The request in protobuf.
    static func transcode(_ body: UnsafeRawBufferPointer) throws(MalformedJSON) -> [UInt8] {
        guard body.count <= maxBodyBytes else {
            throw MalformedJSON(offset: 0, expected: "a body of at most \(maxBodyBytes) bytes")
        }
        var reader = JSONReader(body, maxDepth: OTLPAttributes.maxJSONDepth)
        var writer = ProtobufWriter(reserving: body.count / 2)
        var transcoder = JSONTranscoder<MetricsSchema>()
        try transcoder.object(&reader, .request, into: &writer)
        try reader.end()
        return writer.bytes
    }
}
