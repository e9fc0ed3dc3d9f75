"""The enrolment authority and its HTTP service, apart from the round server."""
