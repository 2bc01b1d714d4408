// SPDX-License-Identifier: Apache-2.0
// The syntax tree of LogQL.

import PromQL
import Telemetry

/// A parsed query.
package enum LogQLExpression: Sendable {
    /// Answers with log lines.
    case log(LogSelector)
    /// Answers with numbers over time.
    case metric(MetricExpression)
    /// Answers with what is made of log lines.
    case analysis(LogAnalysis)
}

/// A stream selector and the pipeline behind it.
package struct LogSelector: Sendable {
    package var matchers: [LabelMatcher]
    package var stages: [StageSyntax]
    package init(matchers: [LabelMatcher], stages: [StageSyntax] = []) {
        self.matchers = matchers
        self.stages = stages
    }
}

/// One step of a pipeline as written.
package enum StageSyntax: Sendable {
    case lineFilter(LineFilterSyntax)
    /// No expressions = all fields.
    case json([FieldExpression])
    case logfmt(strict: Bool, keepEmpty: Bool, [FieldExpression])
    case regexp(String)
    case pattern(String)
    case unpack
    case labelFilter(LabelFilterSyntax)
    case lineFormat(String)
    case labelFormat([LabelFormat])
    case decolorize
    case drop([LabelSelection])
    case keep([LabelSelection])
}

/// `|= "a" or ip("10.0.0.0/8")`: one operator and its alternatives.
package struct LineFilterSyntax: Sendable, Equatable {
    package enum Operation: String, Sendable {
        case contains = "|="
        case notContains = "!="
        case matches = "|~"
        case notMatches = "!~"
        case pattern = "|>"
        case notPattern = "!>"

        /// Whether a line passes when no alternative applies.
        var isNegated: Bool {
            self == .notContains || self == .notMatches || self == .notPattern
        }
    }
    package struct Alternative: Sendable, Equatable {
        package var text: String
        package var isIP: Bool
    }
    package var operation: Operation
    package var alternatives: [Alternative]
}

/// `label="path"` of a parser stage; a bare name stands for itself.
package struct FieldExpression: Sendable, Equatable {
    package var label: String
    package var path: String
}

/// `a=b` (rename) or `a="{{…}}"` of `label_format`.
package struct LabelFormat: Sendable, Equatable {
    package enum Source: Sendable, Equatable {
        case rename(String)
        case template(String)
    }
    package var target: String
    package var source: Source
}

/// A label of `drop` and `keep`, perhaps only where its value matches.
package struct LabelSelection: Sendable, Equatable {
    package var name: String
    package var matcher: LabelMatcher?
}

package enum ComparisonOperation: String, Sendable {
    case equal = "=="
    case notEqual = "!="
    case greater = ">"
    case greaterOrEqual = ">="
    case less = "<"
    case lessOrEqual = "<="
}

/// A condition on labels inside a pipeline.
package indirect enum LabelFilterSyntax: Sendable {
    case matcher(LabelMatcher)
    case number(String, ComparisonOperation, Double)
    /// Nanoseconds.
    case duration(String, ComparisonOperation, Int64)
    case bytes(String, ComparisonOperation, Int64)
    case ip(String, isNegated: Bool, String)
    case all([LabelFilterSyntax])
    case any([LabelFilterSyntax])
}

/// Functions over a range of log lines.
package enum RangeOperation: String, Sendable, CaseIterable {
    case rate, rateCounter = "rate_counter"
    case countOverTime = "count_over_time"
    case bytesRate = "bytes_rate"
    case bytesOverTime = "bytes_over_time"
    case absentOverTime = "absent_over_time"
    case sumOverTime = "sum_over_time"
    case avgOverTime = "avg_over_time"
    case maxOverTime = "max_over_time"
    case minOverTime = "min_over_time"
    case firstOverTime = "first_over_time"
    case lastOverTime = "last_over_time"
    case stdvarOverTime = "stdvar_over_time"
    case stddevOverTime = "stddev_over_time"
    case quantileOverTime = "quantile_over_time"

    enum UnwrapRule { case required, forbidden, optional }

    var unwrapRule: UnwrapRule {
        switch self {
        case .countOverTime, .bytesRate, .bytesOverTime: .forbidden
        case .rate, .absentOverTime: .optional
        default: .required
        }
    }

    var allowsGrouping: Bool {
        switch self {
        case .avgOverTime, .stddevOverTime, .stdvarOverTime, .quantileOverTime, .maxOverTime,
            .minOverTime, .firstOverTime, .lastOverTime:
            true
        default: false
        }
    }
}

/// Aggregations over a vector.
package enum AggregationOperation: String, Sendable, CaseIterable {
    case sum, avg, max, min, count, stddev, stdvar, topk, bottomk, sort
    case sortDescending = "sort_desc"
    case approximateTopK = "approx_topk"

    var needsParameter: Bool {
        self == .topk || self == .bottomk || self == .approximateTopK
    }
}

/// `by (…)` or `without (…)`.
package struct LabelGrouping: Sendable, Equatable {
    package var isWithout: Bool
    package var labels: [String]
}

/// `| unwrap duration(x)` and the filters behind it.
package struct UnwrapSyntax: Sendable {
    package enum Conversion: String, Sendable {
        case bytes, duration, durationSeconds = "duration_seconds"
    }
    package var label: String
    package var conversion: Conversion?
    package var filters: [LabelFilterSyntax]
}

/// `rate({…} | … [5m] offset 1h) by (…)`.
package struct RangeAggregation: Sendable {
    package var operation: RangeOperation
    package var parameter: Double?
    package var selector: LogSelector
    package var unwrap: UnwrapSyntax?
    package var rangeNanos: Int64
    package var offsetNanos: Int64
    package var grouping: LabelGrouping?
}

/// What stands between a binary operator and its right side.
package struct BinaryModifiers: Sendable, Equatable {
    package var matching = VectorMatching()
    /// Comparisons give 0 or 1 instead of filtering.
    package var returnsBool = false
    package init() {}
}

package indirect enum MetricExpression: Sendable {
    case range(RangeAggregation)
    case aggregation(AggregationOperation, parameter: Int, LabelGrouping?, MetricExpression)
    case binary(BinaryOperator, BinaryModifiers, MetricExpression, MetricExpression)
    case literal(Double)
    case vector(Double)
    case labelReplace(MetricExpression, LabelReplacement)
}

/// Arguments of `label_replace`.
package struct LabelReplacement: Sendable, Equatable {
    package var destination: String
    package var replacement: String
    package var source: String
    package var pattern: String
}

extension LogQLExpression {
    /// All selectors of the query, from left to right.
    package var selectors: [LogSelector] {
        switch self {
        case .log(let selector): [selector]
        case .metric(let expression): expression.selectors
        case .analysis(let analysis): [analysis.selector]
        }
    }
}

extension MetricExpression {
    package var selectors: [LogSelector] {
        switch self {
        case .range(let aggregation): [aggregation.selector]
        case .aggregation(_, _, _, let inner), .labelReplace(let inner, _): inner.selectors
        case .binary(_, _, let left, let right): left.selectors + right.selectors
        case .literal, .vector: []
        }
    }
}
