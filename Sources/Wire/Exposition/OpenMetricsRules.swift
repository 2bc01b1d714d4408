// SPDX-License-Identifier: Apache-2.0
// What the OpenMetrics specification demands beyond its grammar.

import Base
import Telemetry

struct OpenMetricsRules {
    mutating func check(
        _ entry: ExpositionParser.Entry, _ parser: inout ExpositionParser
    ) throws(ExpositionError) {}
    func finish(_ parser: ExpositionParser) throws(ExpositionError) {}
}
