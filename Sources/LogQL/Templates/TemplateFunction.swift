// SPDX-License-Identifier: Apache-2.0
// The functions of templates by name.

import Base

/// Every function a template may call.
enum TemplateFunction: String, Sendable, CaseIterable {
    // Of the language itself.
    case and, or, not, eq, ne, lt, le, gt, ge, len, index, slice, print, printf, println
    case html, js, urlquery, call
    // Of the line.
    case line = "__line__"
    case timestamp = "__timestamp__"
    // Text.
    case toLower = "ToLower"
    case toUpper = "ToUpper"
    case replaceTimes = "Replace"
    case trimCutset = "Trim"
    case trimLeft = "TrimLeft"
    case trimRight = "TrimRight"
    case trimPrefixOf = "TrimPrefix"
    case trimSuffixOf = "TrimSuffix"
    case trimSpace = "TrimSpace"
    case regexReplaceAll, regexReplaceAllLiteral, count, urldecode, urlencode
    case alignLeft, alignRight, b64enc, b64dec, lower, upper, title, trunc, substr, contains
    case hasPrefix, hasSuffix, indent, nindent, replace, `repeat`, trim, trimAll, trimSuffix
    case trimPrefix, fromJson
    case defaultValue = "default"
    // Numbers.
    case bytes, duration
    case durationSeconds = "duration_seconds"
    case int, float64, add, sub, mul, div, mod, addf, subf, mulf, divf, max, min, maxf, minf
    case ceil, floor, round
    // Time.
    case date, toDate, toDateInZone, now, unixEpoch, unixEpochMillis, unixEpochNanos, unixToTime

    /// Part of the template language, not of log queries.
    var isOfLanguage: Bool {
        switch self {
        case .and, .or, .not, .eq, .ne, .lt, .le, .gt, .ge, .len, .index, .slice, .print, .printf,
            .println, .html, .js, .urlquery, .call:
            true
        default: false
        }
    }

    static func named(_ name: String) -> TemplateFunction? { TemplateFunction(rawValue: name) }

    var argumentCount: ClosedRange<Int> {
        switch self {
        case .line, .timestamp, .now: 0...0
        case .not, .len, .toLower, .toUpper, .trimSpace, .urldecode, .urlencode, .b64enc, .b64dec,
            .lower, .upper, .title, .trim, .fromJson, .bytes, .duration, .durationSeconds, .int,
            .float64, .ceil, .floor, .unixEpoch, .unixEpochMillis, .unixEpochNanos, .unixToTime:
            1...1
        case .ne, .lt, .le, .gt, .ge, .trimCutset, .trimLeft, .trimRight, .trimPrefixOf,
            .trimSuffixOf, .count, .alignLeft, .alignRight, .trunc, .contains, .hasPrefix,
            .hasSuffix, .indent, .nindent, .repeat, .trimAll, .trimSuffix, .trimPrefix, .sub, .div,
            .mod, .date, .toDate:
            2...2
        case .regexReplaceAll, .regexReplaceAllLiteral, .substr, .replace, .toDateInZone: 3...3
        case .replaceTimes: 4...4
        case .round: 2...3
        case .defaultValue: 1...2
        case .eq: 2...Int.max
        case .and, .or, .index, .slice, .printf, .call, .max, .min, .maxf, .minf, .subf, .divf:
            1...Int.max
        case .print, .println, .html, .js, .urlquery, .add, .mul, .addf, .mulf: 0...Int.max
        }
    }

    func call(
        _ arguments: [TemplateValue], _ line: TemplateScope?
    ) throws(TemplateError) -> TemplateValue {
        switch self {
        case .line: return .string(line?.line() ?? "")
        case .timestamp: return .time(line?.lineNanos ?? 0)
        case .now: return .time(line?.nowNanos ?? 0)
        case .and, .or, .not, .eq, .ne, .lt, .le, .gt, .ge, .len, .index, .slice, .print, .printf,
            .println, .html, .js, .urlquery, .call:
            return try callBuiltIn(arguments)
        case .bytes, .duration, .durationSeconds, .int, .float64, .add, .sub, .mul, .div, .mod,
            .addf, .subf, .mulf, .divf, .max, .min, .maxf, .minf, .ceil, .floor, .round:
            return try callNumeric(arguments)
        case .date, .toDate, .toDateInZone, .unixEpoch, .unixEpochMillis, .unixEpochNanos,
            .unixToTime:
            return try callTemporal(arguments)
        default: return try callText(arguments)
        }
    }

    func fault(_ message: String) -> TemplateError { TemplateError(description: message) }

    /// Text of an argument that must be one.
    func text(_ value: TemplateValue) throws(TemplateError) -> String {
        switch value {
        case .string(let text): return text
        default:
            throw fault("wrong type for value; expected string; got \(value.typeName)")
        }
    }
}
