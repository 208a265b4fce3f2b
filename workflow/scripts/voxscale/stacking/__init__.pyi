from .subject import stack_subject as stack_subject
