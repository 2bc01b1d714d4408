// SPDX-License-Identifier: Apache-2.0
// Labels that a line states without a value.

import Base

extension ExpositionParser {
    /// Calls `body` with the name, as written, of each label of the current series whose value is
    /// empty. The label set leaves them out; for `honor_labels` an exporter that writes
    /// `instance=""` says that the series has no instance.
    package func forEachEmptyLabel(_ body: (UnsafeRawBufferPointer) -> Void) {
        for span in labels where span.valueStart == span.valueEnd {
            body(lexer.slice(span.nameStart, span.nameEnd))
        }
    }
}
