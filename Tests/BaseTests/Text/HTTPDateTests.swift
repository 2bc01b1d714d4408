// SPDX-License-Identifier: Apache-2.0
// Dates of HTTP headers.

import Base
import Testing

@Test func httpDatesAreRead() {
    #expect(httpDateSeconds("Sun, 06 Nov 1994 08:49:37 GMT") == 784_111_777)
    #expect(httpDateSeconds("Thu, 01 Jan 1970 00:00:00 GMT") == 0)
    for wrong in [
        "", "06 Nov 1994 08:49:37 GMT", "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 06 Nov 1994 +8:49:37 GMT", "120",
    ] {
        #expect(httpDateSeconds(wrong) == nil, "\(wrong)")
    }
}
