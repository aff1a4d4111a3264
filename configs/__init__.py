"""Configurations: primary.py assigns every option once; the others override a few lines of it.

Which one to take:

  to see it all         demo       draws faces, trains, evaluates; minutes, no data, no GPU
  to use weights        extract    the masks of a video
                        extract_many       those of many videos, side by side
                        app        the same in a browser, and of a webcam
                        evaluate   the numbers of weights, or of a stage of a training
                        export     networks for programs that know nothing of fmx
  to train on a CPU     small      one network for whole faces
                        faces      that one and those of eyes and mouth, into one folder of weights
  to train on a GPU,    primary    the network for whole faces
  as the paper does     all        that one and those of eyes and mouth, into one folder of weights
                        fcn        the baseline without a memory
                        vgg16      FCN-VGG16, another baseline
                        deeplab    DeepLab-V2 with VGG-16 and a dense CRF, another
                        eyes       the zoomed-in network of the eyes
                        mouth      the zoomed-in network of the mouth
  to train what ships,  upright    those of whole faces, mouths and single eyes, out of frames
  on a CPU              finder     the network that finds the faces
                        evaluate_finder    which faces that one misses
                        ablations  what each choice of that training is worth
                        memory     gates behind the network of whole faces, that know the past
  to make the paper's   tables/all and one file for each: docs/tables.md
  tables and figures
  to time a machine     benchmark  the steps of training and the prediction; needs no data
"""
