// SPDX-License-Identifier: Apache-2.0
// One line on each word of the languages, for \help and for completion.

import LogQL
import PromQL

/// What a word of a query language means.
package struct WordDocumentation: Sendable, Equatable {
    package enum Kind: String, Sendable {
        case function, aggregation, modifier, stage, intrinsic, scope
    }
    package var word: String
    package var language: QueryLanguage
    package var kind: Kind
    /// How it is written, for example `rate(v range-vector)`.
    package var usage: String
    package var text: String
}

package enum Documentation {
    /// All words, by language and then by name.
    package static let all: [WordDocumentation] =
        [
            promQL, promQLAggregations, promQLModifiers, logStages, logFunctions, logAggregations,
            traceWords, tracePipeline,
        ].flatMap { $0 }

    /// Entries of a word in any language.
    package static func entries(_ word: String) -> [WordDocumentation] {
        all.filter { $0.word == word.lowercased() || $0.word == word }
    }

    private static func parameterName(_ kind: ValueKind) -> String {
        switch kind {
        case .scalar: "scalar"
        case .vector: "vector"
        case .matrix: "range vector"
        case .string: "string"
        default: "value"
        }
    }

    /// `quantile_over_time(scalar, range vector)`; what may be left out or repeated in brackets.
    static func usage(_ signature: FunctionSignature) -> String {
        var arguments = signature.arguments.map(parameterName)
        if signature.variadic != 0, let last = arguments.popLast() {
            arguments.append("[" + last + (signature.variadic == 1 ? "]" : ", …]"))
        }
        return signature.name + "(" + arguments.joined(separator: ", ") + ")"
    }

    private static let promQL: [WordDocumentation] =
        FunctionSignature.all.values.sorted { $0.name < $1.name }.map { signature in
            WordDocumentation(
                word: signature.name, language: .metrics, kind: .function,
                usage: usage(signature),
                text: (functionTexts[signature.name] ?? "")
                    + (signature.isExperimental ? " (experimental)" : ""))
        }

    private static let functionTexts: [String: String] = [
        "abs": "the size of each value", "acos": "arc cosine", "acosh": "inverse hyperbolic cosine",
        "asin": "arc sine", "asinh": "inverse hyperbolic sine", "atan": "arc tangent",
        "atanh": "inverse hyperbolic tangent", "cos": "cosine", "cosh": "hyperbolic cosine",
        "sin": "sine", "sinh": "hyperbolic sine", "tan": "tangent", "tanh": "hyperbolic tangent",
        "deg": "radians to degrees", "rad": "degrees to radians", "pi": "3.14159…",
        "absent": "1 when the selector finds no series, else nothing",
        "absent_over_time": "1 when no series has a sample in the range, else nothing",
        "avg_over_time": "mean of the samples in the range",
        "ceil": "values rounded up", "floor": "values rounded down",
        "round": "values rounded to the nearest multiple of the second argument (1)",
        "changes": "how often the value changed in the range",
        "clamp": "values kept between two limits", "clamp_max": "values kept below a limit",
        "clamp_min": "values kept above a limit",
        "count_over_time": "number of samples in the range",
        "day_of_month": "day of the month in UTC, 1 to 31",
        "day_of_week": "day of the week in UTC, 0 (Sunday) to 6",
        "day_of_year": "day of the year in UTC, 1 to 366",
        "days_in_month": "days of the month, 28 to 31", "hour": "hour of the day in UTC",
        "minute": "minute of the hour", "month": "month in UTC, 1 to 12", "year": "year in UTC",
        "delta": "difference between the ends of the range, of a gauge",
        "deriv": "slope per second of a gauge by linear regression",
        "double_exponential_smoothing":
            "smoothed value; smoothing and trend factor between 0 and 1",
        "exp": "e to the power of the value", "ln": "natural logarithm",
        "log2": "logarithm to base 2", "log10": "logarithm to base 10", "sqrt": "square root",
        "sgn": "-1, 0 or 1 by sign", "first_over_time": "oldest sample in the range",
        "histogram_avg": "mean of native histograms",
        "histogram_count": "number of observations of native histograms",
        "histogram_sum": "sum of observations of native histograms",
        "histogram_fraction": "share of observations between two bounds",
        "histogram_quantile": "quantile (0 to 1) of histograms; classic ones need the label le",
        "histogram_quantiles": "several quantiles of histograms under a label",
        "histogram_stddev": "standard deviation of native histograms",
        "histogram_stdvar": "variance of native histograms",
        "idelta": "difference of the last two samples",
        "increase": "growth of a counter over the range, resets taken out",
        "info": "adds labels of info metrics such as target_info",
        "irate": "growth per second of a counter between its last two samples",
        "label_join": "joins labels with a separator into a new one",
        "label_replace": "sets a label from a regular expression over another",
        "last_over_time": "newest sample in the range",
        "mad_over_time": "median absolute deviation in the range",
        "max_over_time": "greatest sample in the range", "min_over_time": "least in the range",
        "max_of": "the greater of two numbers", "min_of": "the lesser of two numbers",
        "predict_linear": "value so many seconds from now by linear regression",
        "present_over_time": "1 for series with a sample in the range",
        "quantile_over_time": "quantile (0 to 1) of the samples in the range",
        "rate": "growth per second of a counter over the range, resets taken out",
        "resets": "how often a counter was reset in the range",
        "scalar": "the value of a vector of one series as a number",
        "sort": "ascending by value", "sort_desc": "descending by value",
        "sort_by_label": "ascending by labels", "sort_by_label_desc": "descending by labels",
        "start": "start of the query in Unix seconds", "end": "end of the query in Unix seconds",
        "range": "length of the query in seconds", "step": "step of the query in seconds",
        "start_timestamp": "when a counter began", "stddev_over_time": "standard deviation",
        "stdvar_over_time": "variance of the samples in the range",
        "sum_over_time": "sum of the samples in the range",
        "time": "time of the evaluation in Unix seconds",
        "timestamp": "time of each sample in Unix seconds",
        "ts_of_first_over_time": "time of the oldest sample in the range",
        "ts_of_last_over_time": "time of the newest sample in the range",
        "ts_of_max_over_time": "time of the greatest sample in the range",
        "ts_of_min_over_time": "time of the least sample in the range",
        "vector": "a number as a vector without labels",
    ]

    /// Words of one kind: each is the word, how it is written, and what it does.
    private static func words(
        _ language: QueryLanguage, _ kind: WordDocumentation.Kind, _ rows: [[String]]
    ) -> [WordDocumentation] {
        rows.compactMap { row in
            guard row.count == 3 else { return nil }
            return WordDocumentation(
                word: row[0], language: language, kind: kind, usage: row[1], text: row[2])
        }
    }

    private static let promQLAggregations: [WordDocumentation] = words(
        .metrics, .aggregation,
        [
            ["sum", "sum by (labels) (vector)", "sum of the values"],
            ["avg", "avg by (labels) (vector)", "mean of the values"],
            ["min", "min by (labels) (vector)", "least value"],
            ["max", "max by (labels) (vector)", "greatest value"],
            ["count", "count by (labels) (vector)", "number of series"],
            ["group", "group by (labels) (vector)", "1 for each group"],
            ["stddev", "stddev by (labels) (vector)", "standard deviation over series"],
            ["stdvar", "stdvar by (labels) (vector)", "variance over series"],
            ["topk", "topk by (labels) (k, vector)", "the k series with the greatest values"],
            ["bottomk", "bottomk by (labels) (k, vector)", "the k series with the least values"],
            ["quantile", "quantile by (labels) (scalar, vector)", "quantile (0 to 1) over series"],
            [
                "count_values", "count_values by (labels) (\"label\", vector)",
                "number of series by value, in a label",
            ],
            ["limitk", "limitk by (labels) (k, vector)", "k series of each group"],
            ["limit_ratio", "limit_ratio by (labels) (ratio, vector)", "a share of the series"],
        ])

    private static let promQLModifiers: [WordDocumentation] = words(
        .metrics, .modifier,
        [
            ["by", "by (labels)", "keeps only these labels"],
            ["without", "without (labels)", "takes these labels away"],
            ["on", "on (labels)", "matches series by these labels"],
            ["ignoring", "ignoring (labels)", "matches series by all but these labels"],
            ["group_left", "group_left (labels)", "many on the left match one on the right"],
            ["group_right", "group_right (labels)", "one on the left matches many on the right"],
            ["offset", "selector offset 1h", "the data of that long before"],
            ["bool", "a > bool b", "comparison gives 0 or 1 instead of leaving out"],
            ["and", "a and b", "series of the left that the right has too"],
            ["or", "a or b", "series of both sides"],
            ["unless", "a unless b", "series of the left that the right has not"],
        ])

    private static let logStages: [WordDocumentation] = words(
        .logs, .stage,
        [
            ["json", "| json [NAME=\"path\"]", "labels from the members of JSON lines"],
            ["logfmt", "| logfmt [--strict] [NAME=\"field\"]", "labels from name=value pairs"],
            ["pattern", "| pattern \"<ip> - <_> <status>\"", "labels from a pattern"],
            ["regexp", "| regexp \"(?P<name>re)\"", "labels from named groups"],
            ["unpack", "| unpack", "labels of a line that promtail packed"],
            ["line_format", "| line_format \"{{.label}}\"", "a new line from a template"],
            ["label_format", "| label_format a=b", "new labels from templates or others"],
            ["unwrap", "| unwrap label", "a label's number as the value of a sample"],
            ["decolorize", "| decolorize", "takes colour codes out of lines"],
            ["drop", "| drop a, b", "takes labels away"],
            ["keep", "| keep a, b", "keeps only these labels"],
        ])

    private static let logFunctions: [WordDocumentation] = words(
        .logs, .function,
        [
            ["rate", "rate({…} [5m])", "lines per second, or the rate of unwrapped values"],
            ["rate_counter", "rate_counter({…} | unwrap label [5m])", "growth per second"],
            ["count_over_time", "count_over_time({…} [5m])", "lines in the range"],
            ["bytes_rate", "bytes_rate({…} [5m])", "bytes per second"],
            ["bytes_over_time", "bytes_over_time({…} [5m])", "bytes in the range"],
            ["absent_over_time", "absent_over_time({…} [5m])", "1 when there is no line"],
            ["sum_over_time", "sum_over_time({…} | unwrap label [5m])", "sum of values"],
            ["avg_over_time", "avg_over_time({…} | unwrap label [5m])", "mean of values"],
            ["max_over_time", "max_over_time({…} | unwrap label [5m])", "greatest value"],
            ["min_over_time", "min_over_time({…} | unwrap label [5m])", "least value"],
            ["first_over_time", "first_over_time({…} | unwrap label [5m])", "oldest value"],
            ["last_over_time", "last_over_time({…} | unwrap label [5m])", "newest value"],
            ["stdvar_over_time", "stdvar_over_time({…} | unwrap label [5m])", "variance"],
            ["stddev_over_time", "stddev_over_time({…} | unwrap label [5m])", "deviation"],
            [
                "quantile_over_time", "quantile_over_time(0.95, {…} | unwrap label [5m])",
                "quantile (0 to 1) of values",
            ],
            [
                "label_replace", "label_replace(v, \"dst\", \"$1\", \"src\", \"re\")",
                "as in PromQL",
            ],
        ])

    private static let logAggregations: [WordDocumentation] = [
        "sum", "avg", "min", "max", "count", "stddev", "stdvar", "topk", "bottomk", "sort",
        "sort_desc",
    ].map { word in
        WordDocumentation(
            word: word, language: .logs, kind: .aggregation,
            usage: word.hasSuffix("k")
                ? "\(word) by (labels) (k, vector)" : "\(word) by (labels) (vector)",
            text: "as in PromQL, over what range functions give")
    }

    private static let traceWords: [WordDocumentation] =
        words(
            .traces, .scope,
            [
                ["span.", "{ span.NAME = value }", "attributes of the span"],
                ["resource.", "{ resource.service.name = \"x\" }", "attributes of the sender"],
                ["event.", "{ event.NAME = value }", "attributes of events"],
                ["link.", "{ link.NAME = value }", "attributes of links"],
                ["instrumentation.", "{ instrumentation.NAME = value }", "of the library"],
            ])
        + words(
            .traces, .intrinsic,
            [
                ["duration", "{ duration > 100ms }", "how long the span took"],
                ["name", "{ name = \"GET /\" }", "the span's name"],
                ["status", "{ status = error }", "error, ok or unset"],
                ["statusMessage", "{ statusMessage =~ \"re\" }", "the text beside the status"],
                ["kind", "{ kind = server }", "server, client, producer, consumer or internal"],
                ["rootName", "{ rootName = \"x\" }", "name of the trace's root"],
                ["rootServiceName", "{ rootServiceName = \"x\" }", "service of the root"],
                ["traceDuration", "{ traceDuration > 1s }", "how long the trace took"],
            ])

    private static let tracePipeline: [WordDocumentation] = words(
        .traces, .stage,
        [
            ["count", "| count() > 2", "spans of the set"],
            ["avg", "| avg(duration) > 1s", "mean over the set"],
            ["max", "| max(duration) > 1s", "greatest of the set"],
            ["min", "| min(duration) > 1s", "least of the set"],
            ["sum", "| sum(span.bytes) > 1000", "sum over the set"],
            ["by", "| by(resource.service.name)", "sets by a value"],
            ["coalesce", "| coalesce()", "one set of all"],
            ["select", "| select(span.NAME)", "attributes to show"],
            ["rate", "| rate() by (name)", "spans per second over time"],
            ["count_over_time", "| count_over_time()", "spans over time"],
            ["quantile_over_time", "| quantile_over_time(duration, .95)", "quantiles over time"],
            ["histogram_over_time", "| histogram_over_time(duration)", "histograms over time"],
            ["compare", "| compare({status=error})", "what a selection has that others have not"],
        ])
}
