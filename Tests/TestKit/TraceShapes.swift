// SPDX-License-Identifier: Apache-2.0
// The shapes that readers of trace APIs accept.

extension JSONShape {
    /// OTLP's `AnyValue`: integers as text, bytes in base64.
    package static let anyValue = JSONShape.object(anyValueMembers(depth: 4))

    private static func anyValueMembers(depth: Int) -> [String: JSONShape] {
        let inner: JSONShape = depth == 0 ? .any : .object(anyValueMembers(depth: depth - 1))
        return [
            "stringValue": .string, "boolValue": .bool, "intValue": .integerText,
            "doubleValue": .double, "bytesValue": .string,
            "arrayValue": .object(["values": .array(inner)]),
            "kvlistValue": .object([
                "values": .array(.object(["key": .string, "value": inner]))
            ]),
        ]
    }

    package static let keyValues = JSONShape.array(
        .object(["key": .string, "value": .anyValue]))

    private static let searchMetrics = JSONShape.object([
        "inspectedTraces": .uint32, "inspectedBytes": .integerText, "totalBlocks": .uint32,
        "completedJobs": .uint32, "totalJobs": .uint32, "totalBlockBytes": .integerText,
        "inspectedSpans": .integerText,
    ])

    private static let metadataMetrics = JSONShape.object([
        "inspectedBytes": .integerText, "totalJobs": .uint32, "completedJobs": .uint32,
        "totalBlocks": .uint32, "totalBlockBytes": .integerText,
    ])

    private static let spanSet = JSONShape.object([
        "spans": .array(
            .object([
                "spanID": .string, "name": .string, "startTimeUnixNano": .integerText,
                "durationNanos": .integerText, "attributes": .keyValues,
            ])),
        "matched": .uint32, "attributes": .keyValues,
    ])

    /// `tempopb.SearchResponse` without the names that decoders before June 2026 lack.
    package static let tempoSearch = JSONShape.object(
        [
            "traces": .array(
                .object([
                    "traceID": .string, "rootServiceName": .string, "rootTraceName": .string,
                    "startTimeUnixNano": .integerText, "durationMs": .uint32, "spanSet": spanSet,
                    "spanSets": .array(spanSet),
                    "serviceStats": .map(
                        .object(["spanCount": .uint32, "errorCount": .uint32])),
                ])),
            "metrics": searchMetrics,
        ], required: ["traces", "metrics"])

    package static let tempoTags = JSONShape.object(
        ["tagNames": .array(.string), "metrics": metadataMetrics], required: ["tagNames"])

    package static let tempoTagsV2 = JSONShape.object(
        [
            "scopes": .array(
                .object(["name": .string, "tags": .array(.string)], required: ["name", "tags"])),
            "metrics": metadataMetrics,
        ], required: ["scopes"])

    package static let tempoTagValues = JSONShape.object(
        ["tagValues": .array(.string), "metrics": metadataMetrics], required: ["tagValues"])

    package static let tempoTagValuesV2 = JSONShape.object(
        [
            "tagValues": .array(
                .object(["type": .string, "value": .string], required: ["type", "value"])),
            "metrics": metadataMetrics,
        ], required: ["tagValues"])

    package static let tempoRange = JSONShape.object(
        [
            "series": .array(
                .object([
                    "labels": .keyValues,
                    "samples": .array(.object(["timestampMs": .integerText, "value": .double])),
                    "exemplars": .array(
                        .object([
                            "labels": .keyValues, "value": .double, "timestampMs": .integerText,
                        ])),
                ])),
            "metrics": searchMetrics, "status": .string, "message": .string,
        ], required: ["series"])

    package static let tempoInstant = JSONShape.object(
        [
            "series": .array(.object(["labels": .keyValues, "value": .double])),
            "metrics": searchMetrics,
        ], required: ["series"])

    /// Jaeger's envelope around some data.
    package static func jaeger(_ data: JSONShape) -> JSONShape {
        .object(
            [
                "data": data, "total": .integer(0...Int64.max), "limit": .integer(0...Int64.max),
                "offset": .integer(0...Int64.max),
                "errors": .optional(
                    .array(
                        .object(
                            ["code": .uint32, "msg": .string, "traceID": .string],
                            required: ["msg"]))),
            ], required: ["data", "total", "limit", "offset", "errors"])
    }

    private static let jaegerTags = JSONShape.array(
        .object(["key": .string, "type": .string, "value": .any], required: ["key", "value"]))

    /// Traces as Jaeger's user interface and Grafana's plug-in read them.
    package static let jaegerTraces = JSONShape.array(
        .object(
            [
                "traceID": .string,
                "spans": .array(
                    .object(
                        [
                            "traceID": .string, "spanID": .string, "operationName": .string,
                            "references": .array(
                                .object(
                                    ["refType": .string, "traceID": .string, "spanID": .string],
                                    required: ["refType", "traceID", "spanID"])),
                            "startTime": .integer(Int64.min...Int64.max),
                            "duration": .integer(0...Int64.max), "tags": jaegerTags,
                            "logs": .array(
                                .object([
                                    "timestamp": .integer(Int64.min...Int64.max),
                                    "fields": jaegerTags,
                                ])),
                            "processID": .string, "warnings": .optional(.array(.string)),
                        ],
                        required: ["traceID", "spanID", "operationName", "startTime", "duration"])),
                "processes": .map(
                    .object(
                        ["serviceName": .string, "tags": jaegerTags], required: ["serviceName"])
                ),
                "warnings": .optional(.array(.string)),
            ], required: ["traceID", "spans", "processes"]))

    package static let jaegerDependencies = JSONShape.array(
        .object(
            ["parent": .string, "child": .string, "callCount": .integer(0...Int64.max)],
            required: ["parent", "child", "callCount"]))

    package static let jaegerMetrics = JSONShape.object(
        [
            "name": .string, "type": .string, "help": .string,
            "metrics": .array(
                .object([
                    "labels": .array(.object(["name": .string, "value": .string])),
                    "metricPoints": .array(
                        .object([
                            "gaugeValue": .object(["doubleValue": .double]), "timestamp": .string,
                        ])),
                ])),
        ], required: ["name", "type", "metrics"])

    /// Zipkin's list of spans.
    package static let zipkinTrace = JSONShape.array(
        .object(
            [
                "traceId": .string, "parentId": .string, "id": .string, "kind": .string,
                "name": .string, "timestamp": .integer(1...Int64.max),
                "duration": .integer(1...Int64.max), "localEndpoint": zipkinEndpoint,
                "remoteEndpoint": zipkinEndpoint,
                "annotations": .array(
                    .object(
                        ["timestamp": .integer(0...Int64.max), "value": .string],
                        required: ["timestamp", "value"])),
                "tags": .map(.string), "debug": .bool, "shared": .bool,
            ], required: ["traceId", "id"]))

    private static let zipkinEndpoint = JSONShape.object([
        "serviceName": .string, "ipv4": .string, "ipv6": .string, "port": .integer(1...65535),
    ])
}
