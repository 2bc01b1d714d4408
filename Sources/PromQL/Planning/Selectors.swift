// SPDX-License-Identifier: Apache-2.0
// The series an expression reads.

import Telemetry

extension Expression {
    /// The conditions of every selector of the expression, in the order of the text: what an
    /// exemplar query reads.
    package var selectors: [[LabelMatcher]] {
        if case .selector(let node) = self { return [node.matchers] }
        return children.flatMap(\.selectors)
    }
}
